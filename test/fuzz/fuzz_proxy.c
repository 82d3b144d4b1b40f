/* Fuzz target of the PROXY protocol's header. However its bytes come, they are read one way: no
 * shorter beginning is a header, or is refused where the whole is one; nothing beyond the header is
 * looked at; what we would send of its addresses reads back as them. */
#include "base/assert.h"
#include "base/limits.h"
#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What we would send of it says the same. */
static void play_read_back(const struct proxy_header *h)
{
    for (enum proxy_version version = PROXY_VERSION_1; version <= PROXY_VERSION_2; version++) {
        struct proxy_header again;
        char room[PROXY_FORMAT_BYTES];
        size_t n = proxy_header_format(version, &h->source, &h->destination, room);

        ASSERT(proxy_header_parse(str_make(room, n), &again) == 0);
        ASSERT(again.n == n && !again.is_local);
        ASSERT(socket_address_is_same(&again.source, &h->source));
        ASSERT(socket_address_is_same(&again.destination, &h->destination));
    }
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
