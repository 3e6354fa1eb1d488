#if defined(__linux__)
#include "../../../ffi/native/linux/object.c"
#endif
