#if defined(__linux__)
#include "../../../ffi/native/linux/endpoint.c"
#endif
