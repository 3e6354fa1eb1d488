#include "../../../ffi/native/shim/cgroup.c"
