#if defined(__linux__)
#include "../../../ffi/native/linux/receive.c"
#endif
