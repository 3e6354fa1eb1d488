#include "../../../ffi/native/doorbell.c"
