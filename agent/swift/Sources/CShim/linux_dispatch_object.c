#if defined(__linux__)
#include "../../../ffi/native/linux/dispatch_object.c"
#endif
