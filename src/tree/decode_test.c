/* The decoder on small tables: every kind of slot, every kind of complaint. */
#include "tree/decode.h"

#include "test/harness/test.h"
#include "tree/reader.h"

struct part {
    struct mark mark;
    struct str name;
    struct opt_int weight;
};
static const struct int_range weight_rule = {0, 10};
static const struct field part_fields[] = {
    FIELD_STR(part, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name."),
    FIELD_INT(part, weight, "weight", 0, &weight_rule, "Weight."),
};
static const struct table part_table = TABLE(part);

struct whole {
    struct mark mark;
    struct opt_bool flag;
    struct opt_double ratio;
    int color;
    struct opt_duration wait;
    struct opt_int size;
    struct str_vec words;
    struct text_pair_vec labels;
    struct part *one;
    struct part inner;
    VEC(struct part) parts;
    const struct node *raw;
    struct str port;
    struct str header;
    struct str pattern;
    struct str secret;
};
static const char *const colors[] = {"Red", "Green", NULL};
static const struct field whole_fields[] = {
    FIELD_BOOL(whole, flag, "flag", 0, "Flag."),
    FIELD_DOUBLE(whole, ratio, "ratio", 0, "Ratio."),
    FIELD_ENUM(whole, color, "color", 0, colors, "Color."),
    FIELD_DURATION(whole, wait, "wait", 0, "Wait."),
    FIELD_QUANTITY(whole, size, "size", 0, "Size."),
    FIELD_STRS(whole, words, "words", FIELD_NON_EMPTY, "Words."),
    FIELD_TEXT_MAP(whole, labels, "labels", FIELD_DEPRECATED, "Labels."),
    FIELD_OBJECT(whole, one, "one", 0, part, "One."),
    FIELD_INLINE(whole, inner, "inner", 0, part, "Inner."),
    FIELD_LIST(whole, parts, "parts", 0, part, "Parts."),
    FIELD_RAW(whole, raw, "raw", FIELD_NOT_ENFORCED, "Raw."),
    FIELD_INT_OR_STR(whole, port, "port", 0, "Port."),
    FIELD_OTHER(whole, header, "header", 0, decode_header_name, NULL, "Header."),
    FIELD_OTHER(whole, pattern, "pattern", 0, decode_regex, NULL, "Pattern."),
    FIELD_STR(whole, secret, "secret", FIELD_SECRET, "Secret."),
    FIELD_UNSUPPORTED("later", "Later."),
};
static const struct table whole_table = TABLE(whole);

static struct arena arena;
static struct diag_list diags;
static struct whole whole;

static void decode(const char *yaml)
{
    struct reader reader;
    struct decoder d;

    arena_deinit(&arena);
    arena_init(&arena, 4096);
    diag_list_init(&diags, &arena);
    reader_init(&reader, &arena, &diags);
    CHECK_INT(reader_read_bytes(&reader, "t.yaml", str_of(yaml)), 0);
    CHECK_INT(reader.documents.n, 1);
    whole = (struct whole){0};
    decoder_init(&d, &diags, &arena, STR("Thing/x"));
    decode_struct(&d, &whole_table, reader.documents.items[0].root, &whole);
    CHECK(d.has_error == (diags.n_errors > 0));
    decoder_deinit(&d);
}

TEST(decode_fills_every_kind_of_slot)
{
    decode("flag: true\nratio: 0.5\ncolor: Green\nwait: 1m30s\nsize: 32Ki\nwords: [a, 'b']\n"
           "one: {name: first, weight: 3}\ninner: {name: in}\nparts: [{name: p}, {name: q}]\n"
           "port: 8080\nheader: X-Name\npattern: '^a+$'\n");
    CHECK_INT(diags.items.n, 0);
    CHECK(whole.flag.is_set && whole.flag.value);
    CHECK(whole.ratio.is_set && whole.ratio.value > 0.4);
    CHECK_INT(whole.color, 1);
    CHECK_INT(whole.wait.us, 90000000);
    CHECK_INT(whole.size.value, 32768);
    CHECK_INT(whole.words.n, 2);
    CHECK_STR(whole.words.items[1], "b");
    CHECK_STR(whole.one->name, "first");
    CHECK_INT(whole.one->weight.value, 3);
    CHECK_INT(whole.one->mark.line, 7);
    CHECK_STR(whole.inner.name, "in");
    CHECK_INT(whole.parts.n, 2);
    CHECK_STR(whole.parts.items[1].name, "q");
    CHECK_STR(whole.port, "8080");
    CHECK_STR(whole.header, "x-name");
    arena_deinit(&arena);
}

TEST(decode_leaves_what_is_absent_or_null_unset)
{
    decode("flag: null\ncolor:\n");
    CHECK_INT(diags.items.n, 0);
    CHECK(!whole.flag.is_set && !whole.wait.is_set);
    CHECK_INT(whole.color, -1);
    CHECK(whole.one == NULL && whole.parts.n == 0);
    arena_deinit(&arena);
}

TEST(decode_reports_each_mistake_with_its_place)
{
    static const struct {
        const char *yaml;
        enum diag_severity severity;
        enum diag_code code;
        const char *path;
        const char *text; /* part of it */
        unsigned column;
    } rows[] = {
        {"flag: 3", DIAG_ERROR, DIAG_WRONG_TYPE, "flag", "expected true or false, found \"3\"", 7},
        {"ratio: x", DIAG_ERROR, DIAG_WRONG_TYPE, "ratio", "expected a number", 8},
        {"color: Gren", DIAG_ERROR, DIAG_INVALID_VALUE, "color", "one of Red, Green", 8},
        {"wait: 10", DIAG_ERROR, DIAG_WRONG_TYPE, "wait", "expected a duration", 7},
        {"wait: 1d", DIAG_ERROR, DIAG_WRONG_TYPE, "wait", "expected a duration", 7},
        {"size: 1.5", DIAG_ERROR, DIAG_WRONG_TYPE, "size", "expected a quantity", 7},
        {"words: [a, {b: c}]", DIAG_ERROR, DIAG_WRONG_TYPE, "words[1]", "found an object", 12},
        {"words: []", DIAG_ERROR, DIAG_MISSING_FIELD, "words", "must not be empty", 8},
        {"words: x", DIAG_ERROR, DIAG_WRONG_TYPE, "words", "expected a list of strings", 8},
        {"labels: {a: b}", DIAG_NOTE, DIAG_OLDER_FORM, "labels", "older form", 1},
        {"one: {weight: 3}", DIAG_ERROR, DIAG_MISSING_FIELD, "one.name", "required", 6},
        {"one: [a]", DIAG_ERROR, DIAG_WRONG_TYPE, "one", "expected an object, found a list", 6},
        {"parts: [{name: a, weight: 11}]", DIAG_ERROR, DIAG_OUT_OF_RANGE, "parts[0].weight",
         "must lie in 0 to 10, found 11", 27},
        {"parts: [{name: a, weight: lots}]", DIAG_ERROR, DIAG_WRONG_TYPE, "parts[0].weight",
         "expected a whole number, found \"lots\"", 27},
        {"parts: [{name: 5}]", DIAG_ERROR, DIAG_WRONG_TYPE, "parts[0].name", "found a number", 16},
        {"raw: 1", DIAG_WARNING, DIAG_NOT_ENFORCED, "raw", "not enforced", 1},
        {"port: true", DIAG_ERROR, DIAG_WRONG_TYPE, "port", "a whole number or a string", 7},
        {"header: 'a b'", DIAG_ERROR, DIAG_INVALID_VALUE, "header", "not a header name", 9},
        {"pattern: 'a('", DIAG_ERROR, DIAG_INVALID_VALUE, "pattern", "not a valid pattern", 10},
        {"secret: [hunter2]", DIAG_ERROR, DIAG_WRONG_TYPE, "secret", "found a list", 9},
        {"later: 1", DIAG_WARNING, DIAG_UNSUPPORTED_FIELD, "later", "not supported", 1},
        {"flags: true", DIAG_ERROR, DIAG_UNKNOWN_FIELD, "", "unknown field \"flags\"", 1},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct diag *d;

        decode(rows[i].yaml);
        CHECK_MSG(diags.items.n == 1, "row %zu: %zu findings", i, diags.items.n);
        d = &diags.items.items[0];
        CHECK_MSG(d->severity == rows[i].severity && d->code == rows[i].code, "row %zu", i);
        CHECK_STR(d->path, rows[i].path);
        CHECK_MSG(str_find(d->text, str_of(rows[i].text)) >= 0, "row %zu: %.*s", i,
                  STR_ARG(d->text));
        CHECK_MSG(d->mark.line == 1 && d->mark.column == rows[i].column, "row %zu: column %u", i,
                  d->mark.column);
        CHECK_STR(d->object, "Thing/x");
    }
    arena_deinit(&arena);
}

TEST(decode_offers_the_nearest_name)
{
    decode("wrods: [a]");
    CHECK_STR(diags.items.items[0].hint, "did you mean \"words\"?");
    decode("Flag: true");
    CHECK_STR(diags.items.items[0].hint, "did you mean \"flag\"?");
    decode("zzzzzz: true");
    CHECK(str_is_empty(diags.items.items[0].hint));
    arena_deinit(&arena);
}

TEST(decode_never_prints_a_secret)
{
    decode("secret: 12345");
    CHECK(str_find(diags.items.items[0].text, STR("12345")) < 0);
    arena_deinit(&arena);
}

TEST(decode_durations)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t us;
    } rows[] = {{"10s", true, 10000000}, {"1h30m", true, 5400000000},
                {"500ms", true, 500000}, {"1.5s", true, 1500000},
                {"0s", true, 0},         {"0", true, 0},
                {"5", false, 0},         {"", false, 0},
                {"-1s", false, 0},       {"1s1s1s1s1s", false, 0},
                {"1e3s", false, 0},      {"s", false, 0},
                {".s", false, 0},        {"999999h", false, 0},
                {"1us", true, 1}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        uint64_t us = 0;
        bool ok = decode_duration_text(str_of(rows[i].text), &us);

        CHECK_MSG(ok == rows[i].ok && us == rows[i].us, "row %zu", i);
    }
}
