#if defined(__linux__)
#include "../../../ffi/native/linux/listener.c"
#endif
