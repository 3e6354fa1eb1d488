#if defined(__linux__)
#include "../../../ffi/native/linux/scalars.c"
#endif
