#if defined(__linux__)
#include "../../../ffi/native/linux/packet.c"
#endif
