#if defined(__linux__)
#include "../../../ffi/native/linux/dictionary.c"
#endif
