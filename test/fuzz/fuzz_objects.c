/* Fuzz target of what `get`, `describe` and `logs` read of a gateway's admin port: a list of
 * objects that a stranger wrote. Beyond not crashing: what is printed has no control character but
 * line ends, and the YAML and JSON of an object are read as one document, the same in both. */
#include "app/objects/columns.h"
#include "app/objects/grid.h"
#include "app/objects/label.h"
#include "app/objects/node_text.h"
#include "base/assert.h"
#include "base/limits.h"
#include "tree/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUT_MAX = 65536, KEY_MAX = 150 };

static void check_printed(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        ASSERT((c >= 0x20 || c == '\n') && c != 0x7f);
        ASSERT(c != 0xc2 || i + 1 == text.len || (unsigned char)text.ptr[i + 1] >= 0xa0);
    }
}

static bool is_same(const struct node *a, const struct node *b)
{
    if (node_is_null(a) || node_is_null(b))
        return node_is_null(a) && node_is_null(b);
    if (a->type != b->type || a->n != b->n ||
        (a->type == NODE_SCALAR && !str_eq_nocase(a->text, b->text)))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->type == NODE_LIST ? !is_same(a->items[i], b->items[i])
                                 : !str_eq(a->entries[i].key, b->entries[i].key) ||
                                       !is_same(a->entries[i].value, b->entries[i].value))
            return false;
    }
    return true;
}

/* Keys of more than a kilobyte, escapes counted, are too long for YAML without a sign of their own;
 * and aliases may make more of a list than a file may have. */
static bool is_too_long(const struct node *node, struct str text)
{
    if (text.len > LIMIT_MANIFEST_FILE_BYTES)
        return true;
    for (size_t i = 0; i < node->n; i++) {
        if (node->type == NODE_MAP && node->entries[i].key.len > KEY_MAX)
            return true;
        if (is_too_long(node->type == NODE_MAP ? node->entries[i].value : node->items[i], text))
            return true;
    }
    return false;
}

static void check_again(struct arena *a, const struct node *node, struct str text)
{
    struct diag_list diags;
    struct reader reader;

    if (is_too_long(node, text))
        return;
    diag_list_init(&diags, a);
    reader_init(&reader, a, &diags);
    int r = reader_read_bytes(&reader, "again", text);

    ASSERT(r == 0 && reader.documents.n == 1);
    ASSERT(is_same(node, reader.documents.items[0].root));
}

static void check_documents(struct arena *a, const struct shown *s)
{
    struct buf yaml = {0};
    struct buf json = {0};

    node_append_yaml(&yaml, s->object, 0);
    node_append_json(&json, s->object, 0);
    check_printed(buf_str(&yaml));
    check_printed(buf_str(&json));
    check_again(a, s->object, buf_str(&yaml));
    check_again(a, s->object, buf_str(&json));
    buf_deinit(&yaml);
    buf_deinit(&json);
}

static void check_cells(struct arena *a, const struct shown *s)
{
    struct buf cell = {0};
    struct buf out = {0};
    struct grid grid;

    grid_init(&grid, a, 1);
    for (const struct column *c = columns_of(s->kind->id); c->title; c++) {
        struct str text;

        buf_clear(&cell);
        c->format(&cell, s, 0);
        text = buf_str(&cell);
        grid_add(&grid, &text);
    }
    grid_format(&grid, &out, 0);
    check_printed(buf_str(&out));
    buf_deinit(&cell);
    buf_deinit(&out);
}

/* A term that holds changes nothing, one that does not decides. */
static void check_selector(struct arena *a, struct str selector)
{
    static const struct label labels[] = {{{"app", 3}, {"a", 1}}};
    struct str held = arena_join(a, selector, STR(",app=a"));
    struct str lost = arena_join(a, selector, STR(",app!=a"));
    bool is, is_held, is_lost;
    int r = label_select(selector, labels, 1, &is);

    ASSERT(label_select(held, labels, 1, &is_held) == r);
    ASSERT(label_select(lost, labels, 1, &is_lost) == r);
    ASSERT(r != 0 || (is_held == is && !is_lost));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str input = str_make(bytes, MIN(size, (size_t)INPUT_MAX));
    struct shown_vec objects = {0};
    struct buf why = {0};
    struct arena a;

    arena_init(&a, 65536);
    if (shown_read(&a, input, &objects, &why) != 0)
        ASSERT(why.len > 0);
    for (size_t i = 0; i < objects.n; i++) {
        check_documents(&a, &objects.items[i]);
        check_cells(&a, &objects.items[i]);
    }
    check_selector(&a, input);
    buf_deinit(&why);
    arena_deinit(&a);
    return 0;
}
