#include "../../../ffi/native/links.c"
