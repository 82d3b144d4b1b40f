/* Fuzz target of what `get`, `describe` and `logs` read of a gateway's admin port: a list of
 * objects that a stranger wrote. Beyond not crashing: what is printed has no control character but
 * line ends, and the YAML and JSON of an object are read as one document, the same in both. */
#include "app/objects/columns.h"
#include "app/objects/grid.h"
#include "app/objects/label.h"
#include "app/objects/node_text.h"
#include "base/assert.h"
#include "tree/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUT_MAX = 65536 };

static void check_printed(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        ASSERT((c >= 0x20 || c == '\n') && c != 0x7f);
        ASSERT(c != 0xc2 || i + 1 == text.len || (unsigned char)text.ptr[i + 1] >= 0xa0);
    }
}

static const struct node *read_again(struct arena *a, struct str text)
{
    struct diag_list diags;
    struct reader reader;
    int r;

    diag_list_init(&diags, a);
    reader_init(&reader, a, &diags);
    r = reader_read_bytes(&reader, "again", text);
    /* Keys of more than a kilobyte are too long for YAML without a sign of their own, and anchors
     * that the list repeated may make more of it than may be read. */
    if (r != 0)
        return NULL;
    ASSERT(reader.documents.n == 1);
    return reader.documents.items[0].root;
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

static void check_documents(struct arena *a, const struct shown *s)
{
    struct buf yaml = {0};
    struct buf json = {0};
    const struct node *again;

    node_append_yaml(&yaml, s->object, 0);
    node_append_json(&json, s->object, 0);
    check_printed(buf_str(&yaml));
    check_printed(buf_str(&json));
    again = read_again(a, buf_str(&yaml));
    ASSERT(!again || is_same(s->object, again));
    again = read_again(a, buf_str(&json));
    ASSERT(!again || is_same(s->object, again));
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct label labels[] = {{{"app", 3}, {"a", 1}}};
    struct str input = str_make(bytes, MIN(size, (size_t)INPUT_MAX));
    struct shown_vec objects = {0};
    struct buf why = {0};
    struct arena a;
    bool is;

    arena_init(&a, 65536);
    if (shown_read(&a, input, &objects, &why) != 0)
        ASSERT(why.len > 0);
    for (size_t i = 0; i < objects.n; i++) {
        check_documents(&a, &objects.items[i]);
        check_cells(&a, &objects.items[i]);
    }
    if (label_select(input, labels, 1, &is) != 0)
        ASSERT(input.len > 0 || !input.ptr);
    buf_deinit(&why);
    arena_deinit(&a);
    return 0;
}
