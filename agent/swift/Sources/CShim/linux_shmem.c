#if defined(__linux__)
#include "../../../ffi/native/linux/shmem.c"
#endif
