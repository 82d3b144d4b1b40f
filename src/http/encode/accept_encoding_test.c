/* Accept-Encoding: weights as RFC 9110 12.5.3 has them, and what is no such header. */
#include "http/encode/accept_encoding.h"

#include "test/harness/test.h"

static struct accept_encoding parse(const char *const *lines)
{
    struct http_headers h;
    struct arena a;
    struct accept_encoding parsed;

    arena_init(&a, 256);
    http_headers_init(&h, &a);
    http_headers_add(&h, STR("accept"), STR("br, zstd"));
    for (; *lines; lines++)
        http_headers_add(&h, STR("accept-encoding"), str_of(*lines));
    parsed = accept_encoding_parse(&h);
    arena_deinit(&a);
    return parsed;
}

TEST(weights_are_read)
{
    static const struct {
        const char *lines[3];
        uint16_t gzip, br, zstd, identity;
    } rows[] = {
        {{NULL}, 0, 0, 0, 0},
        {{""}, 0, 0, 0, 0},
        {{"gzip"}, 1000, 0, 0, 0},
        {{"GZip"}, 1000, 0, 0, 0},
        {{"x-gzip"}, 1000, 0, 0, 0},
        {{"gzip, deflate, br, zstd"}, 1000, 1000, 1000, 0},
        {{"gzip,br;q=0.5"}, 1000, 500, 0, 0},
        {{"gzip ; q=0.25 ,\tbr;Q=0.001"}, 250, 1, 0, 0},
        {{"gzip;q=1.000, br;q=1., zstd;q=0."}, 1000, 1000, 0, 0},
        {{"gzip;q=0"}, 0, 0, 0, 0},
        {{"gzip;q=0.000"}, 0, 0, 0, 0},
        {{"*"}, 1000, 1000, 1000, 1000},
        {{"*;q=0.5, gzip;q=0.1"}, 100, 500, 500, 500},
        {{"gzip;q=0, *"}, 0, 1000, 1000, 1000},
        {{"*;q=0, gzip"}, 1000, 0, 0, 0},
        {{"identity;q=1, gzip;q=0.5"}, 500, 0, 0, 1000},
        {{"gzip, identity;q=0"}, 1000, 0, 0, 0},
        {{"gzip, identity;q=0, *;q=0.3"}, 1000, 300, 300, 0},
        {{"deflate"}, 0, 0, 0, 0},
        {{"gzip", "br;q=0.7"}, 1000, 700, 0, 0},
        {{"gzip;q=0.5, gzip"}, 500, 0, 0, 0},
        {{"gzip", "x-gzip;q=0"}, 0, 0, 0, 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct accept_encoding a = parse(rows[i].lines);

        CHECK_MSG(a.weights[ENCODER_GZIP] == rows[i].gzip, "row %zu: gzip", i);
        CHECK_MSG(a.weights[ENCODER_BR] == rows[i].br, "row %zu: br", i);
        CHECK_MSG(a.weights[ENCODER_ZSTD] == rows[i].zstd, "row %zu: zstd", i);
        CHECK_MSG(a.identity == rows[i].identity, "row %zu: identity", i);
    }
}

/* None of it is a yes to gzip, and none hides the br behind it. */
TEST(what_is_malformed_is_a_no)
{
    static const char *const values[] = {
        "gzip;q=",
        "gzip;q=1.001",
        "gzip;q=2",
        "gzip;q=-1",
        "gzip;q=0.0001",
        "gzip;q=1.0000",
        "gzip;q=.5",
        "gzip;q=1e0",
        "gzip;q=0x1",
        "gzip;q=00.5",
        "gzip;q=1 1",
        "gzip;q=\"1\"",
        "gzip;q",
        "gzip;q =1",
        "gzip;q= 1",
        "gzip;",
        "gzip;;q=1",
        "gzip;level=1",
        "gzip;q=1;a=b",
        "gzip q=1",
        "gzip br",
        "gzip/1",
        "gzip\"",
        "\"gzip\"",
        "gzi p",
        "gzip;q=1;q=0",
        "gzip;q=0;q=1",
        "gzip\x80",
        "gzip=1",
        "gzipp",
        "g",
        ";q=1",
        "=",
        ",,, , ,",
        "gzip;q=9999999999",
        "(gzip)",
        "gzip;q=\xff\xff",
        "*gzip",
        "gzip*",
        "gzip;q=1.0.0",
    };

    for (size_t i = 0; i < N_ELEMENTS(values); i++) {
        const char *alone[] = {values[i], NULL};
        const char *followed[] = {values[i], "br;q=0.4", NULL};

        CHECK_MSG(parse(alone).weights[ENCODER_GZIP] == 0, "%s", values[i]);
        CHECK_MSG(parse(followed).weights[ENCODER_GZIP] == 0, "%s", values[i]);
        CHECK_MSG(parse(followed).weights[ENCODER_BR] == 400, "%s", values[i]);
        CHECK_MSG(parse(followed).weights[ENCODER_ZSTD] == 0, "%s", values[i]);
    }
}

TEST(long_headers_are_read_in_one_pass)
{
    static char text[65536];
    const char *lines[] = {text, NULL};

    memset(text, ',', sizeof text - 1);
    memcpy(text + sizeof text - 6, ",gzip", 5);
    CHECK_INT(parse(lines).weights[ENCODER_GZIP], 1000);
    memset(text, 'a', sizeof text - 1);
    memcpy(text + 30000, ",br;q=0.3,", 10);
    CHECK_INT(parse(lines).weights[ENCODER_BR], 300);
    CHECK_INT(parse(lines).weights[ENCODER_GZIP], 0);
}

TEST(what_weighs_less_than_the_answer_as_it_is_is_not_taken)
{
    static const struct {
        const char *value;
        bool takes;
    } rows[] = {
        {"gzip", true},
        {"gzip, identity", true},
        {"gzip;q=0.5, identity;q=0.6", false},
        {"gzip;q=0.5, identity;q=0", true},
        {"gzip;q=0, identity;q=0", false},
        {"*;q=0.5, gzip;q=0.4", false},
        {"br", false},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const char *lines[] = {rows[i].value, NULL};
        struct accept_encoding a = parse(lines);

        CHECK_MSG(accept_encoding_takes(&a, ENCODER_GZIP) == rows[i].takes, "%s", rows[i].value);
    }
}
