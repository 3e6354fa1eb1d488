#if defined(__linux__)
#include "../../../ffi/native/linux/pool.c"
#endif
