#include "../../../ffi/native/revisions.c"
