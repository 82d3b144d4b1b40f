/* A table of paths into JSON, compiled into a small tree that json_scan walks beside the text. A
 * path is keys joined by dots, "*" for every element of an array, "{*}" for every member of an
 * object that has no key of its own in the table: "usage.prompt_tokens", "choices.*.delta.content",
 * "inputs.*.shape.*", "inputs.{*}"; "" is the whole document. Compiled once, before main();
 * immutable from then on and read by any thread. */
#pragma once

#include "base/str.h"

struct json_path {
    const char *path;
    bool wants_text; /* collect the text of a string, up to JSON_TEXT_BYTES */
};

#define JSON_PATH_LEVELS 8   /* keys and stars of one path */
#define JSON_NODES       160 /* of one table: its distinct prefixes */
#define JSON_NODE_NONE   255
#define JSON_KEY_BYTES   48 /* of one key in a path */

/* One prefix of a path. */
struct json_node {
    const char *key;  /* in the path's text; not of the root nor of "*" */
    uint64_t word;    /* of the key's first 8 bytes, all of a shorter one */
    uint64_t lengths; /* of the members' keys, a bit each */
    uint8_t key_len;
    uint8_t star;    /* the node of an array's elements, or JSON_NODE_NONE */
    uint8_t any;     /* the node of an object's members that are no child, or JSON_NODE_NONE */
    uint8_t child;   /* first node of an object's members, or JSON_NODE_NONE */
    uint8_t next;    /* sibling among members */
    uint8_t ordinal; /* among its siblings: the bit that says "seen" */
    uint8_t end;     /* bytes of the row's path up to here */
    uint8_t row;     /* a row that has this prefix */
    bool is_path;    /* that row ends here */
    bool is_guarded; /* see json_paths_guard */
};

struct json_paths {
    const struct json_path *rows;
    unsigned n_rows;
    unsigned n_nodes;
    struct json_node nodes[JSON_NODES];
};

/* A mistake in the table (too many levels or nodes, a path twice) fails an assertion at start. */
void json_paths_compile(struct json_paths *ret_paths, const struct json_path *rows,
                        unsigned n_rows);
/* False for most keys that are no member of the object at `node`, by their length alone. */
static inline bool json_paths_may_have(const struct json_paths *paths, unsigned node,
                                       size_t key_len)
{
    return (paths->nodes[node].lengths >> (key_len & 63)) & 1;
}
/* Has a top-level key refused in other letter case too ("Model"): JSON libraries that ignore case
 * (Go's) would read it as this one. Before the table is used. */
void json_paths_guard(struct json_paths *paths, struct str key);
/* The node of the guarded key that `key` spells in other case, or JSON_NODE_NONE. */
unsigned json_paths_find_guarded(const struct json_paths *paths, unsigned node, struct str key);
/* The member `key` of the object at `node` by its own name, or JSON_NODE_NONE. */
unsigned json_paths_find(const struct json_paths *paths, unsigned node, struct str key);
/* "usage.prompt_tokens": how the table spells the way to `node`. */
struct str json_paths_spelling(const struct json_paths *paths, unsigned node);

/* JSON_PATHS(name, {"model", true}, {"stream", false}) defines a static table that is compiled
 * before main(); rows may be written as [INDEX] = {...}. */
#define JSON_PATHS(name, ...)                                                                      \
    static const struct json_path name##_rows[] = {__VA_ARGS__};                                   \
    static struct json_paths name;                                                                 \
    __attribute__((constructor)) static void name##_compile(void)                                  \
    {                                                                                              \
        json_paths_compile(&name, name##_rows, N_ELEMENTS(name##_rows));                           \
    }
