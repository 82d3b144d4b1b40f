/* Fuzz target of the PROXY protocol's header. However its bytes come, they are read one way: no
 * shorter beginning is a header, or is refused where the whole is one; nothing beyond the header is
 * looked at; what is told of addresses reads back. */
#include <netinet/in.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The address alone. */
static struct str play_address(const struct socket_address *a, char *room, size_t cap)
{
    struct str text;

    socket_format_address((const struct sockaddr *)&a->address, room, cap);
    text = str_of(room);
    while (text.ptr[text.len - 1] != ':')
        text.len--;
    text.len--;
    return text.ptr[0] == '[' ? str_slice(text, 1, text.len - 1) : text;
}

static void play_read_back(const struct proxy_header *h)
{
    struct proxy_header again;
    char from[64], to[64], line[160];
    struct str source = play_address(&h->source, from, sizeof from);
    struct str destination = play_address(&h->destination, to, sizeof to);
    bool is_v6 = str_find_char(source, ':', 0) >= 0;
    int n = snprintf(line, sizeof line, "PROXY %s %.*s %.*s %u %u\r\n", is_v6 ? "TCP6" : "TCP4",
                     STR_ARG(source), STR_ARG(destination), socket_address_port(&h->source),
                     socket_address_port(&h->destination));

    /* Of mapped addresses the text is IPv4's: then not of both, perhaps. */
    if (is_v6 != (str_find_char(destination, ':', 0) >= 0))
        return;
    ASSERT(proxy_header_parse(str_make(line, (size_t)n), &again) == 0);
    ASSERT(again.n == (size_t)n && !again.is_local);
    ASSERT(socket_address_port(&again.source) == socket_address_port(&h->source));
    ASSERT(str_eq(play_address(&again.source, line, sizeof line), source));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct proxy_header h, part;
    int whole = proxy_header_parse(str_make(bytes, size), &h);

    ASSERT(whole != PROXY_MORE || size < LIMIT_PROXY_HEADER_BYTES);
    for (size_t n = 0; n < MIN(size, (size_t)LIMIT_PROXY_HEADER_BYTES + 1); n++) {
        int r = proxy_header_parse(str_make(bytes, n), &part);

        if (whole == PROXY_MORE)
            ASSERT(r == PROXY_MORE);
        else if (whole == 0)
            ASSERT(n < h.n ? r == PROXY_MORE : r == 0 && part.n == h.n);
        else
            ASSERT(r == PROXY_MORE || r == whole);
    }
    if (whole == 0) {
        ASSERT(h.n > 0 && h.n <= size && h.n <= LIMIT_PROXY_HEADER_BYTES);
        if (!h.is_local)
            play_read_back(&h);
    }
    return 0;
}
