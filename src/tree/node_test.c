/* The YAML core schema on scalars, and search by key. */
#include "tree/node.h"

#include "test/harness/test.h"

static struct node plain(const char *text)
{
    return (struct node){.type = NODE_SCALAR, .text = str_of(text)};
}

TEST(node_whole_numbers_have_one_reading)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } rows[] = {{"0", true, 0},
                {"80", true, 80},
                {"-3", true, -3},
                {"+7", true, 7},
                {"0x1F", true, 31},
                {"0o17", true, 15},
                {"9223372036854775807", true, INT64_MAX},
                {"9223372036854775808", false, 0},
                {"010", false, 0},
                {"1.5", false, 0},
                {"", false, 0},
                {"-", false, 0},
                {"0x", false, 0},
                {"1_000", false, 0},
                {"lots", false, 0}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct node n = plain(rows[i].text);
        int64_t value = 0;

        CHECK_MSG(node_to_int(&n, &value) == rows[i].ok, "row %zu", i);
        CHECK_MSG(value == rows[i].value, "row %zu", i);
    }
}

TEST(node_quoted_scalars_are_strings)
{
    struct node n = plain("80");
    int64_t whole;
    double number;
    bool flag;

    n.is_quoted = true;
    CHECK(!node_to_int(&n, &whole) && !node_to_double(&n, &number));
    n.text = STR("true");
    CHECK(!node_to_bool(&n, &flag));
    n.text = STR("null");
    CHECK(!node_is_null(&n));
}

TEST(node_booleans_and_nulls_follow_the_core_schema)
{
    struct node n = plain("True");
    bool flag;

    CHECK(node_to_bool(&n, &flag) && flag);
    n = plain("FALSE");
    CHECK(node_to_bool(&n, &flag) && !flag);
    n = plain("yes");
    CHECK(!node_to_bool(&n, &flag));
    n = plain("~");
    CHECK(node_is_null(&n));
    n = plain("");
    CHECK(node_is_null(&n) && node_is_null(NULL));
}

TEST(node_numbers_are_finite_decimals)
{
    struct node n = plain("1.5e3");
    double value;

    CHECK(node_to_double(&n, &value) && value > 1499.9 && value < 1500.1);
    n = plain("nan");
    CHECK(!node_to_double(&n, &value));
    n = plain("1e999");
    CHECK(!node_to_double(&n, &value));
    n = plain("0x10");
    CHECK(!node_to_double(&n, &value));
}

TEST(node_find_tolerates_what_is_no_map)
{
    struct node n = plain("x");

    CHECK(node_find(&n, "x") == NULL && node_find(NULL, "x") == NULL);
    CHECK(node_text(&n, "x").ptr == NULL);
}
