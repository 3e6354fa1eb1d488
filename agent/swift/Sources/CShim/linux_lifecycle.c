#if defined(__linux__)
#include "../../../ffi/native/linux/lifecycle.c"
#endif
