#if defined(__linux__)
#include "../../../ffi/native/linux/descriptor.c"
#endif
