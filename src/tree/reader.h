/* Files, folders or bytes of YAML and JSON to documents of nodes with marks. Every size is bounded
 * (base/limits.h) before memory is asked for. Blocking file I/O; compile thread only. */
#pragma once

#include "base/vec.h"
#include "tree/diag.h"
#include "tree/node.h"

struct document {
    struct mark mark;
    struct node *root; /* never NULL; empty documents are skipped */
    bool is_broken;    /* reported: a duplicate key; what stood first was kept */
};

/* The content of each file that was read, before it is wiped; `path` lives as long as the arena. */
typedef void reader_keep_fn(void *ctx, const char *path, struct str bytes);

struct reader {
    struct arena *arena;
    struct diag_list *diags;
    VEC(struct document) documents; /* in the order of paths, names sorted inside a folder */
    VEC(const char *) files;        /* every file that was read or tried */
    VEC(const char *) folders;      /* every folder that was entered, for watching */
    reader_keep_fn *keep;           /* NULL: nobody wants it */
    void *keep_ctx;
    size_t total_bytes;
    size_t n_nodes;
    bool is_refused; /* some file unreadable, not YAML, or past a limit */
};

/* Results of reading. What could be read stands in `documents` in either case. */
enum reader_result {
    READER_REFUSED = 1, /* reported: an unreadable file, broken YAML, or a limit */
};

/* Nodes, names and findings live in `a`. */
void reader_init(struct reader *r, struct arena *a, struct diag_list *diags);
/* Files as named; folders recursively: *.yaml, *.yml and *.json, names beginning with a dot left
 * out (so the visible symlinks of a Kubernetes volume are followed and its ..data is not). An empty
 * folder is a warning. 0, READER_REFUSED; never negative. */
MUST_USE int reader_read(struct reader *r, const char *const *paths, size_t n);
/* Is a file of this name, in a folder, one of them? */
bool reader_is_manifest_name(const char *name);
/* One text as if it were a file of this name. */
MUST_USE int reader_read_bytes(struct reader *r, const char *name, struct str bytes);
