/* shim.h: the project's shim, as it stands beside this package. */
#include "../../../../ffi/native/shim.h"
