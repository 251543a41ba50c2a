// XLA's library prints a notice about oneDNN from a static initialiser, before main. Setting this
// variable prevents it, but only from a constructor that runs earlier still: that of a shared library
// which is linked last. A value that the user exported is kept.
#include <stdlib.h>

__attribute__((constructor)) static void quiet(void) {
    setenv("TF_ENABLE_ONEDNN_OPTS", "0", 0);
}
