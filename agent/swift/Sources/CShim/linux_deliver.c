#if defined(__linux__)
#include "../../../ffi/native/linux/deliver.c"
#endif
