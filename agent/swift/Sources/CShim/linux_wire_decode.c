#if defined(__linux__)
#include "../../../ffi/native/linux/wire_decode.c"
#endif
