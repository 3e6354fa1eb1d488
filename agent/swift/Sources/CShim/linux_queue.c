#if defined(__linux__)
#include "../../../ffi/native/linux/queue.c"
#endif
