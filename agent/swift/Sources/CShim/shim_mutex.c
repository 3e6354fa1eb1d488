#include "../../../ffi/native/mutex.c"
