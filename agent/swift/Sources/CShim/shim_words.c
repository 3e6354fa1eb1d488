#include "../../../ffi/native/words.c"
