/* Addresses and ranges of both families, mapped forms included. */
#include "policy/cidr.h"

#include <arpa/inet.h>

#include "test/harness/test.h"

TEST(cidr_matches_addresses)
{
    static const struct {
        const char *cidr, *address;
        bool is_in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3/32", "10.1.2.4", false},
        {"10.1.2.3/9", "10.127.0.0", true},
        {"10.1.2.3/9", "10.128.0.0", false},
        {"0.0.0.0/0", "255.1.1.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "1.2.3.4", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::1/128", "2001:db8::1", true},
        {"192.168.1.1/31", "192.168.1.0", true},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct cidr cidr;
        struct ip_address address;

        CHECK_MSG(cidr_parse(str_of(cases[i].cidr), &cidr), "%s", cases[i].cidr);
        CHECK(ip_address_parse(str_of(cases[i].address), &address));
        CHECK_MSG(cidr_has(&cidr, &address) == cases[i].is_in, "%s in %s", cases[i].address,
                  cases[i].cidr);
    }
}

TEST(malformed_ranges_are_refused)
{
    static const char *const texts[] = {"",           "/8",     "10.0.0.0/",       "10.0.0.0/33",
                                        "10.0.0/8",   "::/129", "10.0.0.0/-1",     "10.0.0.0/8 ",
                                        "[::1]/128",  "a.com",  "fe80::1%eth0/64", "10.0.0.0/8/8",
                                        "010.0.0.0/8"};
    struct cidr cidr;

    for (size_t i = 0; i < N_ELEMENTS(texts); i++)
        CHECK_MSG(!cidr_parse(str_of(texts[i]), &cidr), "%s", texts[i]);
}

TEST(unknown_address_lies_in_no_range)
{
    struct arena a;
    struct cidr_list list;
    size_t bad;
    struct ip_address unknown = {0};
    struct ip_address known;
    struct str good[] = {STR("1.0.0.0/8"), STR("::/0")};
    struct str worse[] = {STR("1.0.0.0/8"), STR("nonsense")};

    arena_init(&a, 1024);
    CHECK(cidr_list_parse(good, 2, &a, &list, &bad));
    CHECK(!cidr_list_has(&list, &unknown));
    CHECK(ip_address_parse(STR("9.9.9.9"), &known));
    CHECK(cidr_list_has(&list, &known));
    CHECK(!cidr_list_parse(worse, 2, &a, &list, &bad));
    CHECK_INT(bad, 1);
    arena_deinit(&a);
}

TEST(socket_addresses_and_text_agree)
{
    /* Room for either family, as the system's calls have it. */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage room;
    } v4 = {.in = {.sin_family = AF_INET}}, v6 = {.in6 = {.sin6_family = AF_INET6}},
      local = {.any = {.sa_family = AF_UNIX}};
    char room[46];

    CHECK_INT(inet_pton(AF_INET, "10.1.2.3", &v4.in.sin_addr), 1);
    CHECK_INT(inet_pton(AF_INET6, "::ffff:10.1.2.3", &v6.in6.sin6_addr), 1);
    struct ip_address a = ip_address_of_socket(&v4.any);
    struct ip_address b = ip_address_of_socket(&v6.any);

    CHECK(ip_address_eq(&a, &b));
    CHECK_STR(ip_address_format(&b, room), "10.1.2.3");
    CHECK(!ip_address_of_socket(&local.any).is_valid);
    CHECK(ip_address_parse(STR("2001:db8::1"), &a));
    CHECK_STR(ip_address_format(&a, room), "2001:db8::1");
    CHECK_STR(ip_address_format(&(struct ip_address){0}, room), "");
}
