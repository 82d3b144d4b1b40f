/* The table of the demo's calls, each with what it must answer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum caller { TENANT_A, TENANT_B, TENANT_C, NOBODY, FORGER };

struct play {
    const char *says; /* what one sees; a line break where it needs two */
    enum caller caller;
    bool is_tls;
    bool has_password; /* the caller's, of the layer behind the token */
    const char *path;
    const char *body;   /* POST, unless NULL */
    int n_flowers;      /* POST, instead of body: a prediction of so many rows */
    const char *header; /* one more, unless NULL */
    int max_calls;      /* made again until it answers right, unless 0 */
    int status;
    const char *head;   /* part of the answer's head in lower case, unless NULL */
    const char *answer; /* part of the body, unless NULL */
};

extern const struct play play_table[];
extern const size_t play_table_n;
