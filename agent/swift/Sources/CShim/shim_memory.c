#include "../../../ffi/native/memory.c"
