#include "../../../ffi/native/events.c"
