#if defined(__linux__)
#include "../../../ffi/native/linux/semaphore.c"
#endif
