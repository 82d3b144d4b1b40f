/* Compiling a table of paths into a tree of their prefixes, and finding a member's node.
 *
 * Siblings are a short list; most keys that no path has are told by their length alone, the others
 * by eight bytes in one comparison. The tables are the program's own: a mistake in one is a bug,
 * found at start by an assertion, never by what a client sends. */
#include "llm/json/json_paths.h"

#include "base/assert.h"

static uint64_t load(const char *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return word;
}

/* In the machine's own order of bytes: compared, never read. */
static uint64_t first_word(struct str key)
{
    if (key.len >= 8)
        return load(key.ptr, 8);
    if (key.len >= 4) /* two fixed loads that overlap, rather than one of a length unknown */
        return load(key.ptr, 4) | load(key.ptr + key.len - 4, 4) << 32;
    return key.len == 0 ? 0
                        : load(key.ptr, 1) | load(key.ptr + key.len - 1, 1) << 8 |
                              load(key.ptr + key.len / 2, 1) << 16;
}

static unsigned add_node(struct json_paths *p, unsigned row, size_t end)
{
    unsigned index = p->n_nodes++;

    ASSERT(index < JSON_NODES);
    p->nodes[index] = (struct json_node){.star = JSON_NODE_NONE,
                                         .any = JSON_NODE_NONE,
                                         .child = JSON_NODE_NONE,
                                         .next = JSON_NODE_NONE,
                                         .end = (uint8_t)end,
                                         .row = (uint8_t)row};
    return index;
}

/* `link` is a field of a node. */
static unsigned node_at(struct json_paths *p, uint8_t *link, unsigned row, size_t end)
{
    if (*link == JSON_NODE_NONE)
        *link = (uint8_t)add_node(p, row, end);
    return *link;
}

static unsigned member_of(struct json_paths *p, unsigned parent, struct str key, unsigned row,
                          size_t end)
{
    uint8_t *link = &p->nodes[parent].child;
    unsigned ordinal = 0;
    unsigned found = json_paths_find(p, parent, key);

    if (found != JSON_NODE_NONE)
        return found;
    for (; *link != JSON_NODE_NONE; link = &p->nodes[*link].next)
        ordinal++;
    ASSERT(ordinal < 64 && key.len > 0 && key.len <= JSON_KEY_BYTES);
    found = add_node(p, row, end);
    *link = (uint8_t)found;
    p->nodes[found].key = key.ptr;
    p->nodes[found].key_len = (uint8_t)key.len;
    p->nodes[found].word = first_word(key);
    p->nodes[parent].lengths |= UINT64_C(1) << (key.len & 63);
    p->nodes[found].ordinal = (uint8_t)ordinal;
    return found;
}

static void add_row(struct json_paths *p, unsigned row)
{
    struct str all = str_of(p->rows[row].path);
    struct str rest = all;
    struct str part;
    unsigned node = 0;
    unsigned n_levels = 0;

    while (rest.len > 0) {
        bool has_part = str_split(&rest, '.', &part);

        n_levels++;
        ASSERT(has_part && n_levels <= JSON_PATH_LEVELS);
        size_t end = (size_t)(part.ptr - all.ptr) + part.len;

        if (str_eq(part, STR("*")))
            node = node_at(p, &p->nodes[node].star, row, end);
        else if (str_eq(part, STR("{*}")))
            node = node_at(p, &p->nodes[node].any, row, end);
        else
            node = member_of(p, node, part, row, end);
    }
    ASSERT(!p->nodes[node].is_path);
    p->nodes[node].is_path = true;
    p->nodes[node].row = (uint8_t)row;
}

void json_paths_compile(struct json_paths *ret_paths, const struct json_path *rows, unsigned n_rows)
{
    ASSERT(n_rows < JSON_NODES);
    *ret_paths = (struct json_paths){.rows = rows, .n_rows = n_rows};
    add_node(ret_paths, 0, 0);
    for (unsigned i = 0; i < n_rows; i++)
        add_row(ret_paths, i);
}

unsigned json_paths_find(const struct json_paths *paths, unsigned node, struct str key)
{
    unsigned i = paths->nodes[node].child;

    if (!json_paths_may_have(paths, node, key.len))
        return JSON_NODE_NONE;
    uint64_t word = first_word(key);

    for (; i != JSON_NODE_NONE; i = paths->nodes[i].next) {
        const struct json_node *child = &paths->nodes[i];

        if (child->word == word && child->key_len == key.len &&
            (key.len <= 8 || memcmp(child->key + 8, key.ptr + 8, key.len - 8) == 0))
            return i;
    }
    return JSON_NODE_NONE;
}

void json_paths_guard(struct json_paths *paths, struct str key)
{
    unsigned node = json_paths_find(paths, 0, key);

    ASSERT(node != JSON_NODE_NONE);
    paths->nodes[node].is_guarded = true;
}

unsigned json_paths_find_guarded(const struct json_paths *paths, unsigned node, struct str key)
{
    unsigned i = paths->nodes[node].child;

    if (!json_paths_may_have(paths, node, key.len))
        return JSON_NODE_NONE;
    for (; i != JSON_NODE_NONE; i = paths->nodes[i].next) {
        const struct json_node *child = &paths->nodes[i];

        if (child->is_guarded && str_eq_nocase(str_make(child->key, child->key_len), key))
            return i;
    }
    return JSON_NODE_NONE;
}

struct str json_paths_spelling(const struct json_paths *paths, unsigned node)
{
    const struct json_node *n = &paths->nodes[node];

    return str_make(paths->rows[n->row].path, n->end);
}
