// Stands in for XLA's libraries where they are gone: build.rs puts it, under each of their names, into the last folder of
// the binaries' search path. The loader runs `resolve` while it relocates this library, before it can miss a symbol of
// XLA's. Libc is not initialised then: system calls work, and the environment is read from the kernel.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 1 << 21, MOST = 1 << 15 };

// Reads a file of nul-terminated strings into `list`, which ends in NULL, up to the room that `text` and `list` have.
static char **strings(const char *file, char *text, char **list) {
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    size_t length = 0, count = 0;
    ssize_t got = 0;
    while (descriptor >= 0 && (got = read(descriptor, text + length, ROOM - 1 - length)) > 0) length += (size_t)got;
    for (char *at = text; at < text + length && count < MOST; at += strlen(at) + 1) list[count++] = at;
    list[count] = NULL;
    return list;
}

static const char *value(char **environment, const char *name) {
    size_t length = strlen(name);
    for (; *environment; environment++)
        if (!strncmp(*environment, name, length) && (*environment)[length] == '=') return *environment + length + 1;
    return NULL;
}

// Joins parts into `to`; NULL ends them.
static const char *join(char *to, size_t room, const char *const *parts) {
    size_t at = 0;
    for (; *parts; parts++)
        for (const char *from = *parts; *from && at + 1 < room; from++) to[at++] = *from;
    to[at] = 0;
    return to;
}

static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(127);
}

static void *resolve(void) {
    static char environment_text[ROOM], argument_text[ROOM], folder[8192], search[16384], library[8192];
    static char *environment[MOST + 2], *arguments[MOST + 1];
    strings("/proc/self/environ", environment_text, environment);
    strings("/proc/self/cmdline", argument_text, arguments);

    // The tree that was linked against, in the cache that the user names now.
    const char *cache = value(environment, "NEURAL_CACHE"), *before = value(environment, "LD_LIBRARY_PATH");
    if (cache && *cache && !value(environment, "NEURAL_XLA_SOUGHT")) {
        join(folder, sizeof folder, (const char *[]){cache, "/" XLA_TREE "/lib", NULL});
        join(library, sizeof library, (const char *[]){folder, "/libtensorflow_cc.so.2", NULL});
        if (!access(library, R_OK)) {
            char **end = environment;
            for (char **at = environment; *at; at++)
                if (strncmp(*at, "LD_LIBRARY_PATH=", 16)) *end++ = *at;
            join(search, sizeof search,
                 (const char *[]){"LD_LIBRARY_PATH=", folder, before ? ":" : "", before ? before : "", NULL});
            *end++ = search;
            *end++ = "NEURAL_XLA_SOUGHT=1";
            *end = NULL;
            execve("/proc/self/exe", arguments, environment);
        }
    }
    say("error: XLA's libraries are not where this program was linked to find them (" XLA_LIB "), nor beside the "
        "program, nor in " XLA_TREE "/lib of the folder that NEURAL_CACHE names. Run scripts/setup, or let NEURAL_CACHE "
        "name the cache that holds them, or put them into a folder lib beside the program.\n");
    _exit(127);
}

static void *absent(void) __attribute__((ifunc("resolve")));
void *(*volatile reference)(void) = absent;
