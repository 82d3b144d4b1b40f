/* Hostname patterns: matching and the intersection of a listener's with a route's. */
#include "policy/host_pattern.h"

#include "test/harness/test.h"

TEST(host_pattern_matches_labels)
{
    static const struct {
        const char *pattern, *host;
        bool is_match;
    } cases[] = {
        {"", "a.com", true},          {"", "", true},
        {"a.com", "a.com", true},     {"a.com", "b.a.com", false},
        {"*.a.com", "b.a.com", true}, {"*.a.com", "c.b.a.com", true},
        {"*.a.com", "a.com", false},  {"*.a.com", ".a.com", false},
        {"*.a.com", "xa.com", false},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK_MSG(host_pattern_matches(str_of(cases[i].pattern), str_of(cases[i].host)) ==
                      cases[i].is_match,
                  "%s on %s", cases[i].pattern, cases[i].host);
    }
}

TEST(host_patterns_intersect_in_the_narrower_one)
{
    static const struct {
        const char *listener, *route, *both; /* both NULL: none */
    } cases[] = {
        {"", "", ""},
        {"", "a.com", "a.com"},
        {"*.a.com", "", "*.a.com"},
        {"very.specific.com", "very.specific.com", "very.specific.com"},
        {"very.specific.com", "*.specific.com", "very.specific.com"},
        {"*.wildcard.io", "foo.wildcard.io", "foo.wildcard.io"},
        {"*.wildcard.io", "foo.bar.wildcard.io", "foo.bar.wildcard.io"},
        {"*.wildcard.io", "wildcard.io", NULL},
        {"*.anotherwildcard.io", "*.anotherwildcard.io", "*.anotherwildcard.io"},
        {"*.a.com", "*.b.a.com", "*.b.a.com"},
        {"*.b.a.com", "*.a.com", "*.b.a.com"},
        {"very.specific.com", "non.matching.com", NULL},
        {"*.a.com", "*.b.com", NULL},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct str both;
        bool has = host_pattern_intersect(str_of(cases[i].listener), str_of(cases[i].route), &both);

        CHECK_MSG(has == (cases[i].both != NULL), "%s and %s", cases[i].listener, cases[i].route);
        if (has)
            CHECK_STR(both, cases[i].both);
    }
}
