#include "../../../ffi/native/values.c"
