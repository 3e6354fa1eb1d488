#if defined(__linux__)
#include "../../../ffi/native/linux/send.c"
#endif
