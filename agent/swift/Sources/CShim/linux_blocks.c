#if defined(__linux__)
#include "../../../ffi/native/linux/blocks.c"
#endif
