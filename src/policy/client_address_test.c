/* Client address detection: each mode with honest, short, forged and malformed lists. */
#include "policy/client_address.h"

#include "test/harness/test.h"

#define LINES 2

struct play {
    const char *name;
    enum client_address_mode mode;
    uint32_t n_hops;
    const char *peer;
    const char *lines[LINES]; /* of X-Forwarded-For, or of x-real-ip with CLIENT_ADDRESS_HEADER */
    const char *client;
    bool is_trusted;
};

static const struct play plays[] = {
    {"no policy ignores the list",
     CLIENT_ADDRESS_SOCKET,
     0,
     "9.9.9.9",
     {"1.1.1.1"},
     "9.9.9.9",
     false},
    {"one hop", CLIENT_ADDRESS_HOPS, 1, "10.0.0.1", {"6.6.6.6, 1.1.1.1"}, "1.1.1.1", true},
    {"two hops",
     CLIENT_ADDRESS_HOPS,
     2,
     "10.0.0.1",
     {"203.0.113.128, 203.0.113.10, 203.0.113.1"},
     "203.0.113.10",
     true},
    {"hops over two lines",
     CLIENT_ADDRESS_HOPS,
     2,
     "10.0.0.1",
     {"6.6.6.6,1.1.1.1", "2.2.2.2"},
     "1.1.1.1",
     true},
    {"list too short", CLIENT_ADDRESS_HOPS, 3, "10.0.0.1", {"1.1.1.1, 2.2.2.2"}, "10.0.0.1", false},
    {"no list", CLIENT_ADDRESS_HOPS, 1, "10.0.0.1", {NULL}, "10.0.0.1", false},
    {"hop is no address",
     CLIENT_ADDRESS_HOPS,
     1,
     "10.0.0.1",
     {"1.1.1.1, unknown"},
     "10.0.0.1",
     false},
    {"empty members count",
     CLIENT_ADDRESS_HOPS,
     2,
     "10.0.0.1",
     {"1.1.1.1,,2.2.2.2"},
     "10.0.0.1",
     false},
    {"hop with a port", CLIENT_ADDRESS_HOPS, 1, "10.0.0.1", {"1.1.1.1:4711"}, "1.1.1.1", true},
    {"peer not trusted", CLIENT_ADDRESS_CIDRS, 0, "9.9.9.9", {"1.1.1.1"}, "9.9.9.9", false},
    {"first untrusted from the right",
     CLIENT_ADDRESS_CIDRS,
     0,
     "10.0.0.1",
     {"6.6.6.6, 1.1.1.1, 10.0.0.7"},
     "1.1.1.1",
     true},
    {"untrusted over two lines",
     CLIENT_ADDRESS_CIDRS,
     0,
     "10.0.0.1",
     {"6.6.6.6, 1.1.1.1", "10.0.0.7, 10.0.0.8"},
     "1.1.1.1",
     true},
    {"all trusted: the leftmost",
     CLIENT_ADDRESS_CIDRS,
     0,
     "10.0.0.1",
     {"10.0.0.9, 10.0.0.8"},
     "10.0.0.9",
     true},
    {"garbage ends the walk",
     CLIENT_ADDRESS_CIDRS,
     0,
     "10.0.0.1",
     {"1.1.1.1, nonsense, 10.0.0.8"},
     "10.0.0.8",
     true},
    {"mapped peer",
     CLIENT_ADDRESS_CIDRS,
     0,
     "::ffff:10.0.0.1",
     {"2001:db8::1"},
     "2001:db8::1",
     true},
    {"header", CLIENT_ADDRESS_HEADER, 0, "10.0.0.1", {"1.1.1.1"}, "1.1.1.1", true},
    {"header missing", CLIENT_ADDRESS_HEADER, 0, "10.0.0.1", {NULL}, "10.0.0.1", false},
    {"header malformed", CLIENT_ADDRESS_HEADER, 0, "10.0.0.1", {"me"}, "10.0.0.1", false},
};

TEST(client_address_is_found_by_policy)
{
    struct str trusted[] = {STR("10.0.0.0/8")};
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(plays); i++) {
        const struct play *p = &plays[i];
        struct client_address_policy policy = {
            .mode = p->mode, .n_trusted_hops = p->n_hops, .header = STR("x-real-ip")};
        struct http_headers headers;
        struct ip_address peer;
        size_t bad;
        char room[46];

        CHECK(cidr_list_parse(trusted, 1, &a, &policy.trusted, &bad));
        CHECK(ip_address_parse(str_of(p->peer), &peer));
        http_headers_init(&headers, &a);
        http_headers_add(&headers, STR("accept"), STR("*/*"));
        for (unsigned k = 0; k < LINES && p->lines[k]; k++) {
            bool is_custom = p->mode == CLIENT_ADDRESS_HEADER;

            http_headers_add(&headers, is_custom ? STR("x-real-ip") : STR("x-forwarded-for"),
                             str_of(p->lines[k]));
        }
        struct client_address found = client_address_find(&policy, &peer, &headers);
        struct str text = ip_address_format(&found.address, room);

        CHECK_MSG(str_eq(text, str_of(p->client)), "%s: %.*s", p->name, STR_ARG(text));
        CHECK_MSG(found.is_trusted_peer == p->is_trusted, "%s: trust", p->name);
        CHECK(!found.is_missing);
    }
    arena_deinit(&a);
}

TEST(fail_closed_header_demands_an_address)
{
    struct client_address_policy policy = {
        .mode = CLIENT_ADDRESS_HEADER, .header = STR("x-real-ip"), .must_have = true};
    struct http_headers headers = {0};
    struct ip_address peer;

    CHECK(ip_address_parse(STR("10.0.0.1"), &peer));
    CHECK(client_address_find(&policy, &peer, &headers).is_missing);
}
