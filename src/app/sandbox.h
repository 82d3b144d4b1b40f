/* What the process gives up for good before it speaks with anybody: files that it does not need
 * (Landlock), system calls that it does not make (seccomp). */
#pragma once

#include "manifest/manifest.h"

struct sandbox {
    const char *const *roots; /* of the configuration */
    size_t n_roots;
    const char *const *log_folders; /* beside those of the manifest */
    size_t n_log_folders;
    const char *state_folder;        /* NULL: none */
    const struct manifest *manifest; /* the first one; its access logs may be written. NULL: none */
    bool may_listen;                 /* no parent binds for us */
    /* out: what the kernel has of it */
    bool has_files;
    bool has_calls;
};

/* False in a build with a sanitizer, whose runtime needs what is taken away here. */
bool sandbox_is_built_in(void);
/* For this thread and those that it starts: before any other. What the kernel does not have is left
 * out. 0 or negative, and then the process must not go on. */
MUST_USE int sandbox_enter(struct sandbox *s);
