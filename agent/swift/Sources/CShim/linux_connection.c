#if defined(__linux__)
#include "../../../ffi/native/linux/connection.c"
#endif
