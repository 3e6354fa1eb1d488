#if defined(__linux__)
#include "../../../ffi/native/linux/io.c"
#endif
