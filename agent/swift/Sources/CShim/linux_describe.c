#if defined(__linux__)
#include "../../../ffi/native/linux/describe.c"
#endif
