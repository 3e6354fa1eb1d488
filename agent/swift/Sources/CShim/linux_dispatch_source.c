#if defined(__linux__)
#include "../../../ffi/native/linux/dispatch_source.c"
#endif
