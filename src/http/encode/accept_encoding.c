/* See accept_encoding.h. The header's length is bounded by its head's; nothing is allocated. */
#include "http/encode/accept_encoding.h"

#include "http/grammar.h"

enum {
    WHOLE = 1000, /* "1" */
    UNNAMED = UINT16_MAX,
    NAMES = ENCODER_CODINGS + 2, /* and */
    IDENTITY = ENCODER_CODINGS,
    ANY,
    QVALUE_BYTES = 5, /* "0.123" */
};

/* Index of `name` among codings, IDENTITY and ANY; NAMES: of none. "x-gzip" is gzip (RFC 9110
 * 8.4.1.3). */
static unsigned name_find(struct str name)
{
    if (str_eq(name, STR("*")))
        return ANY;
    if (str_eq_nocase(name, STR("identity")))
        return IDENTITY;
    if (str_eq_nocase(name, STR("x-gzip")))
        return ENCODER_GZIP;
    for (unsigned i = 0; i < ENCODER_CODINGS; i++) {
        if (str_eq_nocase(name, encoder_name((enum encoder_coding)i)))
            return i;
    }
    return NAMES;
}

/* qvalue (RFC 9110 12.4.2): at most three digits behind the point, at most 1. False: malformed. */
static bool qvalue_parse(struct str s, uint16_t *ret)
{
    unsigned value, unit = WHOLE / 10;

    if (s.len == 0 || s.len > QVALUE_BYTES || (s.ptr[0] != '0' && s.ptr[0] != '1') ||
        (s.len > 1 && s.ptr[1] != '.'))
        return false;
    value = s.ptr[0] == '1' ? WHOLE : 0;
    for (size_t i = 2; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        value += (unsigned)(s.ptr[i] - '0') * unit;
        unit /= 10;
    }
    *ret = (uint16_t)value;
    return value <= WHOLE;
}

/* What follows the name: nothing, or OWS ";" OWS "q=" qvalue. 0 where it is malformed. */
static uint16_t weight_parse(struct str s)
{
    uint16_t weight;

    s = str_trim(s);
    if (s.len == 0)
        return WHOLE;
    if (s.ptr[0] != ';')
        return 0;
    s = str_trim(str_slice(s, 1, s.len));
    if (!str_starts_with_nocase(s, STR("q=")) || !qvalue_parse(str_slice(s, 2, s.len), &weight))
        return 0;
    return weight;
}

static void value_parse(struct str value, uint16_t weights[NAMES])
{
    struct str member;

    while (grammar_list_next(&value, &member)) {
        size_t n = grammar_span(member, GRAMMAR_TOKEN);
        unsigned name = name_find(str_slice(member, 0, n));

        if (name < NAMES) {
            uint16_t weight = weight_parse(str_slice(member, n, member.len));

            if (weight < weights[name])
                weights[name] = weight;
        }
    }
}

struct accept_encoding accept_encoding_parse(const struct http_headers *request)
{
    struct accept_encoding a = {0};
    uint16_t weights[NAMES];
    uint16_t others;

    for (unsigned i = 0; i < NAMES; i++)
        weights[i] = UNNAMED;
    for (unsigned i = 0; i < request->n; i++) {
        if (request->items[i].id == HEADER_ACCEPT_ENCODING)
            value_parse(request->items[i].value, weights);
    }
    others = weights[ANY] == UNNAMED ? 0 : weights[ANY];
    for (unsigned i = 0; i < ENCODER_CODINGS; i++)
        a.weights[i] = weights[i] == UNNAMED ? others : weights[i];
    a.identity = weights[IDENTITY] == UNNAMED ? others : weights[IDENTITY];
    return a;
}
