/* Fuzz target of the server_name extension of a ClientHello, the one part of a handshake that is
 * not OpenSSL's to read. Beyond not crashing: what is accepted is the encoding of the name that
 * comes out, byte for byte but for capital letters, so that no second name, length or byte is
 * passed over; the name ends where its text ends; and what is refused leaves none. */
#include "base/assert.h"
#include "net/tls_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_encoding(const uint8_t *bytes, size_t size, struct str name)
{
    ASSERT(size == name.len + 5 && name.len > 0 && name.len <= TLS_NAME_MAX);
    ASSERT(((size_t)bytes[0] << 8 | bytes[1]) == size - 2);
    ASSERT(bytes[2] == TLSEXT_NAMETYPE_host_name);
    ASSERT(((size_t)bytes[3] << 8 | bytes[4]) == name.len);
    for (size_t i = 0; i < name.len; i++) {
        ASSERT(name.ptr[i] == str_lower_char((char)bytes[5 + i]) && name.ptr[i] != '\0');
        ASSERT(name.ptr[i] < 'A' || name.ptr[i] > 'Z');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char name[TLS_NAME_MAX + 1];
    char again[TLS_NAME_MAX + 1];

    memset(name, 'x', sizeof name);
    memset(again, 'y', sizeof again);
    bool is_good = tls_parse_server_name(bytes, size, name);

    ASSERT(memchr(name, 0, sizeof name));
    if (is_good)
        check_encoding(bytes, size, str_of(name));
    else
        ASSERT(name[0] == '\0');
    ASSERT(tls_parse_server_name(bytes, size, again) == is_good && strcmp(name, again) == 0);
    return 0;
}
