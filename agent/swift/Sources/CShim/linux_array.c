#if defined(__linux__)
#include "../../../ffi/native/linux/array.c"
#endif
