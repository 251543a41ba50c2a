// What must happen before XLA's libraries initialise, so before main: a constructor of a shared library that is linked
// last runs earlier than theirs.
#include <stdlib.h>
#include <unistd.h>

// XLA's libraries hold AVX instructions from the first initialiser on. Without them the process would end in a signal.
static void check_processor(void) {
#if defined(__x86_64__)
    static const char message[] =
        "error: this processor has no AVX instructions, which XLA needs. Use a machine with AVX (Intel since 2011, AMD "
        "since 2011; a virtual machine must pass it on), or an XLA of your own in XLA_EXTENSION_DIR.\n";
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx")) {
        if (write(STDERR_FILENO, message, sizeof message - 1) < 0) _exit(1);
        _exit(1);
    }
#endif
}

// XLA's library prints a notice about oneDNN from a static initialiser. Setting this variable prevents it. A value that
// the user exported is kept.
static void silence(void) { setenv("TF_ENABLE_ONEDNN_OPTS", "0", 0); }

__attribute__((constructor)) static void prepare(void) {
    check_processor();
    silence();
}
