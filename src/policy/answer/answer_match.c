/* See answer_match.h. */
#include "policy/answer/answer_match.h"

static bool answer_has_status(const struct answer_match *m, uint16_t status)
{
    for (size_t i = 0; i < m->n_statuses; i++) {
        if (status >= m->statuses[i].first && status <= m->statuses[i].last)
            return true;
    }
    return m->n_statuses == 0;
}

static enum regex_verdict answer_has_header(const struct answer_header *c,
                                            const struct http_headers *h)
{
    struct str value = http_headers_joined(h, c->name);
    bool is_so = false;

    if (!value.ptr)
        return REGEX_MISS;
    switch (c->kind) {
    case ANSWER_VALUE_IS:
        is_so = str_eq(value, c->value);
        break;
    case ANSWER_VALUE_STARTS:
        is_so = str_starts_with(value, c->value);
        break;
    case ANSWER_VALUE_ENDS:
        is_so = str_ends_with(value, c->value);
        break;
    case ANSWER_VALUE_MATCHES:
        return regex_match(c->regex, value);
    }
    return is_so ? REGEX_HIT : REGEX_MISS;
}

enum regex_verdict answer_match_applies(const struct answer_match *m, uint16_t status,
                                        const struct http_headers *h)
{
    if (!answer_has_status(m, status))
        return REGEX_MISS;
    for (size_t i = 0; i < m->n_headers; i++) {
        enum regex_verdict verdict = answer_has_header(&m->headers[i], h);

        if (verdict != REGEX_HIT)
            return verdict;
    }
    return REGEX_HIT;
}
