#if defined(__linux__)
#include "../../../ffi/native/linux/errors.c"
#endif
