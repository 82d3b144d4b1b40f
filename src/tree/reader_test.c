/* The reader on bytes and on real folders: marks, limits, hostile YAML, Kubernetes' volume layout.
 */
#include "tree/reader.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "test/harness/test.h"

static struct arena arena;
static struct diag_list diags;
static struct reader reader;

static void begin(void)
{
    arena_deinit(&arena);
    arena_init(&arena, 65536);
    diag_list_init(&diags, &arena);
    reader_init(&reader, &arena, &diags);
}

static int read_text(const char *text)
{
    begin();
    return reader_read_bytes(&reader, "t.yaml", str_of(text));
}

static void check_refused(const char *text, enum diag_code code, unsigned line, unsigned column)
{
    const struct diag *d;

    CHECK_MSG(read_text(text) == READER_REFUSED, "%s", text);
    CHECK(reader.is_refused && diags.n_errors > 0);
    d = &diags.items.items[0];
    CHECK_MSG(d->code == code, "%s: %s", text, diag_code_text(d->code));
    CHECK_MSG(d->mark.line == line && d->mark.column == column, "%s: at %u:%u", text, d->mark.line,
              d->mark.column);
    CHECK(strcmp(d->mark.file, "t.yaml") == 0);
}

TEST(reader_marks_every_node)
{
    const struct node *spec;

    CHECK_INT(read_text("kind: A\nspec:\n  ports:\n  - 80\n  - \"81\"\n---\nkind: B\n"), 0);
    CHECK_INT(reader.documents.n, 2);
    spec = node_find(reader.documents.items[0].root, "spec");
    CHECK_INT(spec->mark.line, 3);
    CHECK_INT(spec->entries[0].mark.column, 3);
    CHECK_INT(spec->entries[0].value->items[1]->mark.line, 5);
    CHECK_INT(spec->entries[0].value->items[1]->mark.column, 5);
    CHECK(spec->entries[0].value->items[1]->is_quoted);
    CHECK(!spec->entries[0].value->items[0]->is_quoted);
    CHECK_STR(node_text(reader.documents.items[1].root, "kind"), "B");
    arena_deinit(&arena);
}

TEST(reader_tells_how_a_scalar_was_written)
{
    static const struct {
        const char *text;
        char quote;
    } rows[] = {
        {"a: b c", 0},
        {"a: 'b'", '\''},
        {"a: \"b\"", '"'},
        {"{\"a\": \"b\"}", '"'},
        {"a: |\n  b", NODE_LINES},
        {"a: >-\n  b", NODE_LINES},
        {"a: b\n  c", NODE_LINES},
        {"a: 'b\n  c'", NODE_LINES},
        {"a: \"b\n  c\"", NODE_LINES},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        CHECK_INT(read_text(rows[i].text), 0);
        CHECK_MSG(node_find(reader.documents.items[0].root, "a")->quote == rows[i].quote, "%s",
                  rows[i].text);
        arena_deinit(&arena);
    }
}

TEST(reader_takes_json_and_skips_empty_documents)
{
    CHECK_INT(read_text("{\"kind\": \"A\", \"n\": [1, true, null]}"), 0);
    CHECK_STR(node_text(reader.documents.items[0].root, "kind"), "A");
    CHECK_INT(read_text("---\n# nothing\n---\n\n---\nkind: A\n"), 0);
    CHECK_INT(reader.documents.n, 1);
    CHECK_INT(read_text(""), 0);
    CHECK_INT(reader.documents.n, 0);
    arena_deinit(&arena);
}

TEST(reader_names_the_place_of_broken_yaml)
{
    check_refused("a: [1, 2\nb: 3\n", DIAG_BAD_YAML, 2, 2);
    check_refused("a: b: c\n", DIAG_BAD_YAML, 1, 5);
    check_refused("a: *nowhere\n", DIAG_BAD_YAML, 1, 4);
    check_refused("a: !own x\n", DIAG_BAD_YAML, 1, 4);
    check_refused("? [a]\n: b\n", DIAG_BAD_YAML, 1, 3);
    check_refused("a: &x {b: c}\nd:\n  <<: *x\n", DIAG_BAD_YAML, 3, 3);
    CHECK_INT(read_text("a: \xff\n"), READER_REFUSED);
    arena_deinit(&arena);
}

TEST(reader_keeps_documents_before_a_break)
{
    CHECK_INT(read_text("kind: A\n---\na: [\n"), READER_REFUSED);
    CHECK_INT(reader.documents.n, 1);
    arena_deinit(&arena);
}

TEST(reader_reports_duplicate_keys_and_keeps_the_first)
{
    const struct diag *d;

    CHECK_INT(read_text("a: 1\nb: 2\na: 3\n---\nc: 1\n"), 0);
    CHECK_INT(diags.n_errors, 1);
    d = &diags.items.items[0];
    CHECK(d->code == DIAG_DUPLICATE_KEY && d->mark.line == 3 && d->other.line == 1);
    CHECK(reader.documents.items[0].is_broken && !reader.documents.items[1].is_broken);
    CHECK_STR(node_text(reader.documents.items[0].root, "a"), "1");
    arena_deinit(&arena);
}

TEST(reader_finds_duplicates_in_large_maps)
{
    struct buf text AUTO(buf_deinit) = {0};

    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "k%d: 1\n", i);
    buf_printf(&text, "k7: 2\n");
    begin();
    CHECK_INT(reader_read_bytes(&reader, "t.yaml", buf_str(&text)), 0);
    CHECK_INT(diags.n_errors, 1);
    CHECK_INT(reader.documents.items[0].root->n, 20000);
    arena_deinit(&arena);
}

TEST(reader_shares_aliases)
{
    const struct node *root;

    CHECK_INT(read_text("a: &x {b: c}\nd: *x\ne: &y 1\nf: *y\n"), 0);
    root = reader.documents.items[0].root;
    CHECK(node_find(root, "a") == node_find(root, "d"));
    CHECK_STR(node_text(root, "f"), "1");
    arena_deinit(&arena);
}

TEST(reader_refuses_alias_bombs)
{
    struct buf text AUTO(buf_deinit) = {0};

    buf_printf(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++) {
        buf_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_printf(&text, "%s*a%d", k > 0 ? "," : "", i - 1);
        buf_printf(&text, "]\n");
    }
    begin();
    CHECK_INT(reader_read_bytes(&reader, "t.yaml", buf_str(&text)), READER_REFUSED);
    CHECK(diags.items.items[0].code == DIAG_SIZE_LIMIT);
    check_refused("a: &a [*a]\n", DIAG_BAD_YAML, 1, 8);
    arena_deinit(&arena);
}

TEST(reader_bounds_alias_count_and_depth)
{
    struct buf text AUTO(buf_deinit) = {0};

    buf_printf(&text, "a: &a 1\nb:\n");
    for (int i = 0; i <= LIMIT_YAML_ALIASES; i++)
        buf_printf(&text, "- *a\n");
    begin();
    CHECK_INT(reader_read_bytes(&reader, "t.yaml", buf_str(&text)), READER_REFUSED);
    CHECK(diags.items.items[0].code == DIAG_SIZE_LIMIT);
    buf_clear(&text);
    for (int i = 0; i < 100000; i++)
        buf_append_char(&text, '[');
    begin();
    CHECK_INT(reader_read_bytes(&reader, "t.yaml", buf_str(&text)), READER_REFUSED);
    CHECK(diags.items.items[0].code == DIAG_SIZE_LIMIT);
    arena_deinit(&arena);
}

TEST(reader_bounds_the_nodes_of_a_document)
{
    struct buf text AUTO(buf_deinit) = {0};

    buf_append_char(&text, '[');
    for (int i = 0; i < LIMIT_YAML_NODES; i++)
        buf_append(&text, "1,", 2);
    buf_append_char(&text, ']');
    begin();
    CHECK_INT(reader_read_bytes(&reader, "t.yaml", buf_str(&text)), READER_REFUSED);
    CHECK(diags.items.items[0].code == DIAG_SIZE_LIMIT);
    arena_deinit(&arena);
}

static char folder[64];

static const char *in_folder(const char *name)
{
    return arena_text(&arena, arena_printf(&arena, "%s/%s", folder, name));
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "w");

    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

static void begin_folder(void)
{
    begin();
    strcpy(folder, "/tmp/reader_test.XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static void end_folder(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_INT(system(command), 0);
    arena_deinit(&arena);
}

static int read_folder(void)
{
    const char *paths[] = {folder};

    return reader_read(&reader, paths, 1);
}

TEST(reader_reads_folders_in_sorted_order)
{
    begin_folder();
    CHECK_INT(mkdir(in_folder("m"), 0700), 0);
    write_file("z.yaml", "kind: Z\n");
    write_file("m/b.yml", "kind: B\n");
    write_file("a.json", "{\"kind\": \"A\"}");
    write_file("README.md", "not: [yaml");
    write_file(".hidden.yaml", "not: [yaml");
    CHECK_INT(read_folder(), 0);
    CHECK_INT(reader.documents.n, 3);
    CHECK_STR(node_text(reader.documents.items[0].root, "kind"), "A");
    CHECK_STR(node_text(reader.documents.items[1].root, "kind"), "B");
    CHECK_STR(node_text(reader.documents.items[2].root, "kind"), "Z");
    CHECK(str_ends_with(str_of(reader.documents.items[1].mark.file), STR("/m/b.yml")));
    end_folder();
}

TEST(reader_follows_the_layout_of_a_kubernetes_volume)
{
    begin_folder();
    CHECK_INT(mkdir(in_folder("..2026_01"), 0700), 0);
    write_file("..2026_01/a.yaml", "kind: A\n");
    CHECK_INT(symlink("..2026_01", in_folder("..data")), 0);
    CHECK_INT(symlink("..data/a.yaml", in_folder("a.yaml")), 0);
    CHECK_INT(read_folder(), 0);
    CHECK_INT(reader.documents.n, 1);
    end_folder();
}

TEST(reader_refuses_a_folder_inside_itself)
{
    begin_folder();
    CHECK_INT(symlink(".", in_folder("again")), 0);
    CHECK_INT(read_folder(), READER_REFUSED);
    end_folder();
}

TEST(reader_warns_of_an_empty_folder)
{
    begin_folder();
    CHECK_INT(read_folder(), 0);
    CHECK_INT(diags.n_warnings, 1);
    CHECK(diags.items.items[0].code == DIAG_EMPTY);
    end_folder();
}

TEST(reader_names_files_that_it_cannot_read)
{
    const char *paths[] = {"/nonexistent/x.yaml", folder};

    begin_folder();
    CHECK_INT(mkfifo(in_folder("pipe.yaml"), 0600), 0);
    CHECK_INT(symlink("nowhere", in_folder("lost.yaml")), 0);
    write_file("ok.yaml", "kind: A\n");
    CHECK_INT(reader_read(&reader, paths, 2), READER_REFUSED);
    CHECK_INT(diags.n_errors, 3);
    CHECK_INT(reader.documents.n, 1);
    for (size_t i = 0; i < diags.items.n; i++)
        CHECK(diags.items.items[i].code == DIAG_UNREADABLE_FILE);
    end_folder();
}

TEST(reader_refuses_a_huge_file_before_reading_it)
{
    begin_folder();
    write_file("big.yaml", "");
    CHECK_INT(truncate(in_folder("big.yaml"), 1 << 30), 0);
    CHECK_INT(read_folder(), READER_REFUSED);
    CHECK(diags.items.items[0].code == DIAG_SIZE_LIMIT);
    CHECK(arena.used_bytes < 1 << 20);
    end_folder();
}
