#if defined(__linux__)
#include "../../../ffi/native/linux/peers.c"
#endif
