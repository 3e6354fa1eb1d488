#if defined(__linux__)
#include "../../../ffi/native/linux/service.c"
#endif
