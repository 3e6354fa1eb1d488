#if defined(__linux__)
#include "../../../ffi/native/linux/runtime_folder.c"
#endif
