#if defined(__linux__)
#include "../../../ffi/native/linux/misuse.c"
#endif
