/* Tests of the PROXY protocol's header: what is one, at every split, and what only looks like one.
 */
#include "net/proxy_protocol.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/macro.h"
#include "test/harness/test.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4_ENDS "\xcb\x00\x71\x09\xc0\x00\x02\x01\x30\x39\x00\x50"
#define TCP6_ENDS                                                                                  \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                                   \
    "\x30\x39\x01\xbb"

static const char *source_of(const struct proxy_header *h)
{
    static char room[64];

    if (h->is_local)
        return "local";
    socket_format_address((const struct sockaddr *)&h->source.address, room, sizeof room);
    return room;
}

static const char *destination_of(const struct proxy_header *h)
{
    static char room[64];

    if (h->is_local)
        return "local";
    socket_format_address((const struct sockaddr *)&h->destination.address, room, sizeof room);
    return room;
}

TEST(a_whole_header_tells_both_ends_at_every_split)
{
    static const struct {
        struct str text;
        const char *source;
        const char *destination;
    } rows[] = {
        {STR("PROXY TCP4 203.0.113.9 192.0.2.1 12345 80\r\n"), "203.0.113.9:12345", "192.0.2.1:80"},
        {STR("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"), "255.255.255.255:65535",
         "0.0.0.0:0"},
        {STR("PROXY TCP6 2001:db8::9 2001:db8::1 12345 443\r\n"), "[2001:db8::9]:12345",
         "[2001:db8::1]:443"},
        {STR("PROXY UNKNOWN\r\n"), "local", "local"},
        {STR("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), "local", "local"},
        {STR(SIGNATURE "\x21\x11\0\x0c" TCP4_ENDS), "203.0.113.9:12345", "192.0.2.1:80"},
        {STR(SIGNATURE "\x21\x21\0\x24" TCP6_ENDS), "[2001:db8::9]:12345", "[2001:db8::1]:443"},
        {STR(SIGNATURE "\x21\x11\0\x13" TCP4_ENDS "\x04\0\x04zero"), "203.0.113.9:12345",
         "192.0.2.1:80"},
        {STR(SIGNATURE "\x20\0\0\0"), "local", "local"},
        {STR(SIGNATURE "\x20\x11\0\x0c" TCP4_ENDS), "local", "local"},
        {STR(SIGNATURE "\x20\xff\0\x03\x01\x02\x03"), "local", "local"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct proxy_header h;
        struct buf text = {0};

        buf_append_str(&text, rows[i].text);
        for (size_t n = 0; n < text.len; n++)
            CHECK_MSG(proxy_header_parse(str_make(text.ptr, n), &h) == PROXY_MORE, "row %zu, %zu",
                      i, n);
        buf_append_str(&text, STR("GET / HTTP/1.1\r\n"));
        CHECK_MSG(proxy_header_parse(buf_str(&text), &h) == 0, "row %zu", i);
        CHECK_MSG(h.n == rows[i].text.len, "row %zu: %zu bytes", i, h.n);
        CHECK_STR(str_of(source_of(&h)), rows[i].source);
        CHECK_STR(str_of(destination_of(&h)), rows[i].destination);
        buf_deinit(&text);
    }
}

TEST(what_begins_as_a_header_and_is_none_is_bad)
{
    static const struct str rows[] = {
        STR("PROXY \r\n"),
        STR("PROXY TCP4\r\n"),
        STR("PROXY TCP5 203.0.113.9 192.0.2.1 1 2\r\n"),
        STR("PROXY tcp4 203.0.113.9 192.0.2.1 1 2\r\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 1 2\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 1\r\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 1 2 \r\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 1 2 3\r\n"),
        STR("PROXY TCP4  203.0.113.9 192.0.2.1 1 2\r\n"),
        STR("PROXY TCP4 203.0.113.9  1 2\r\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 65536 2\r\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 01 2\r\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 -1 2\r\n"),
        STR("PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\r\n"),
        STR("PROXY TCP4 203.0.113.009 192.0.2.1 1 2\r\n"),
        STR("PROXY TCP4 203.0.113 192.0.2.1 1 2\r\n"),
        STR("PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n"),
        STR("PROXY TCP6 203.0.113.9 192.0.2.1 1 2\r\n"),
        STR("PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n"),
        STR("PROXY TCP4 203.0.113.9\0 192.0.2.1 1 2\r\n"),
        STR("PROXY UNKNOWNS\r\n"),
        STR("PROXY UNKNOWN\n"),
        STR("PROXY GET / HTTP/1.1\r\n"),
        STR(SIGNATURE "\x11\x11\0\x0c" TCP4_ENDS),               /* version 1 */
        STR(SIGNATURE "\x22\x11\0\x0c" TCP4_ENDS),               /* no such command */
        STR(SIGNATURE "\x21\x11\0\x0b" TCP4_ENDS),               /* too short for its ends */
        STR(SIGNATURE "\x21\x21\0\x0c" TCP4_ENDS),               /* the same, of IPv6 */
        STR(SIGNATURE "\x21\x12\0\x0c" TCP4_ENDS),               /* datagrams */
        STR(SIGNATURE "\x21\0\0\x0c" TCP4_ENDS),                 /* whose is not told */
        STR(SIGNATURE "\x21\x11\0\x0d" TCP4_ENDS "\x04"),        /* a TLV without its length */
        STR(SIGNATURE "\x21\x11\0\x10" TCP4_ENDS "\x04\0\x02x"), /* longer than the header */
        STR(SIGNATURE "\x21\x11\x10\0"),                         /* longer than any may be */
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct proxy_header h;

        CHECK_MSG(proxy_header_parse(rows[i], &h) == PROXY_BAD, "row %zu", i);
    }
}

TEST(a_line_that_never_ends_is_bad_in_time)
{
    struct buf text = {0};
    struct proxy_header h;
    size_t n = 0;

    buf_append_str(&text, STR("PROXY UNKNOWN "));
    while (proxy_header_parse(buf_str(&text), &h) == PROXY_MORE && n++ < LIMIT_PROXY_HEADER_BYTES)
        buf_append_char(&text, 'x');
    CHECK(proxy_header_parse(buf_str(&text), &h) == PROXY_BAD && text.len == 107);
    buf_deinit(&text);
}

TEST(what_begins_otherwise_is_none)
{
    static const struct str rows[] = {
        STR("GET / HTTP/1.1\r\n"),
        STR("PROPFIND / HTTP/1.1\r\n"),
        STR("PRI * HTTP/2.0\r\n"),
        STR("PROXY"),
        STR("proxy TCP4"),
        STR("\x16\x03\x01"),
        STR("\r\nGET / HTTP/1.1"),
        STR("\r\n\r\n\0\r\nQUIET"),
        STR("\0"),
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct proxy_header h;
        int r = proxy_header_parse(rows[i], &h);

        CHECK_MSG(r == (i == 3 ? PROXY_MORE : PROXY_NONE), "row %zu: %d", i, r);
    }
}

static struct socket_address address_of(const char *text)
{
    struct socket_address a = {.len = 0};

    CHECK(socket_address_parse(str_of(text), &a) == 0);
    return a;
}

TEST(what_is_sent_is_read_as_what_it_says)
{
    static const struct {
        enum proxy_version version;
        const char *source, *destination;
        struct str expected;
    } rows[] = {
        {PROXY_VERSION_1, "203.0.113.9:12345", "192.0.2.1:80",
         STR("PROXY TCP4 203.0.113.9 192.0.2.1 12345 80\r\n")},
        {PROXY_VERSION_1, "[2001:db8::9]:12345", "[2001:db8::1]:443",
         STR("PROXY TCP6 2001:db8::9 2001:db8::1 12345 443\r\n")},
        {PROXY_VERSION_2, "203.0.113.9:12345", "192.0.2.1:80",
         STR(SIGNATURE "\x21\x11\0\x0c" TCP4_ENDS)},
        {PROXY_VERSION_2, "[2001:db8::9]:12345", "[2001:db8::1]:443",
         STR(SIGNATURE "\x21\x21\0\x24" TCP6_ENDS)},
        {PROXY_VERSION_1, "203.0.113.9:12345", "[2001:db8::1]:443", STR("PROXY UNKNOWN\r\n")},
        {PROXY_VERSION_2, "[2001:db8::9]:12345", "192.0.2.1:80", STR(SIGNATURE "\x20\0\0\0")},
        {PROXY_VERSION_1, "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535",
         STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n")},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct socket_address source = address_of(rows[i].source);
        struct socket_address destination = address_of(rows[i].destination);
        char room[PROXY_FORMAT_BYTES];
        size_t n = proxy_header_format(rows[i].version, &source, &destination, room);
        struct proxy_header h;

        CHECK(str_eq(str_make(room, n), rows[i].expected));
        CHECK(proxy_header_parse(str_make(room, n), &h) == 0 && h.n == n);
        if (!h.is_local)
            CHECK(socket_address_is_same(&h.source, &source) &&
                  socket_address_is_same(&h.destination, &destination));
        CHECK(h.is_local == (source.address.ss_family != destination.address.ss_family));
    }
}
