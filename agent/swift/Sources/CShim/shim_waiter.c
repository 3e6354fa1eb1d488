#include "../../../ffi/native/waiter.c"
