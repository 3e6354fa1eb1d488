#if defined(__linux__)
#include "../../../ffi/native/linux/wire_encode.c"
#endif
