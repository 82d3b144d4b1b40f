/* See wire.h. */
#include "app/takeover/wire.h"

static const char wire_magic[4] = {'T', 'G', 'T', 'O'};

static void wire_put_number(struct buf *out, uint64_t value, size_t n_bytes)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    buf_append(out, bytes, n_bytes);
}

static uint64_t wire_get_number(struct wire_reader *r, size_t n_bytes)
{
    struct str bytes = wire_get_bytes(r, n_bytes);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.len; i++)
        value |= (uint64_t)(unsigned char)bytes.ptr[i] << (8 * i);
    return value;
}

void wire_put_head(struct buf *out, enum wire_kind kind)
{
    buf_append(out, wire_magic, sizeof wire_magic);
    wire_put_number(out, WIRE_VERSION, 2);
    wire_put_number(out, kind, 2);
}

int wire_parse(struct str bytes, struct wire_message *ret)
{
    struct wire_reader r = {.rest = bytes};
    struct str magic = wire_get_bytes(&r, sizeof wire_magic);
    uint64_t version = wire_get_number(&r, 2);
    uint64_t kind = wire_get_number(&r, 2);

    *ret = (struct wire_message){.content = r.rest};
    if (r.is_bad || memcmp(magic.ptr, wire_magic, sizeof wire_magic) != 0)
        return WIRE_BAD;
    if (version != WIRE_VERSION)
        return WIRE_OTHER_VERSION;
    if (kind < WIRE_HELLO || kind >= WIRE_KINDS)
        return WIRE_BAD;
    ret->kind = (enum wire_kind)kind;
    return 0;
}

void wire_put_u32(struct buf *out, uint32_t value)
{
    wire_put_number(out, value, sizeof value);
}

void wire_put_u64(struct buf *out, uint64_t value)
{
    wire_put_number(out, value, sizeof value);
}

void wire_put_text(struct buf *out, struct str text)
{
    wire_put_u32(out, (uint32_t)text.len);
    buf_append_str(out, text);
}

uint32_t wire_get_u32(struct wire_reader *r)
{
    return (uint32_t)wire_get_number(r, sizeof(uint32_t));
}

uint64_t wire_get_u64(struct wire_reader *r)
{
    return wire_get_number(r, sizeof(uint64_t));
}

struct str wire_get_bytes(struct wire_reader *r, size_t n)
{
    struct str bytes;

    if (r->is_bad || n > r->rest.len) {
        r->is_bad = true;
        r->rest = STR("");
        return STR("");
    }
    bytes = str_slice(r->rest, 0, n);
    r->rest = str_slice(r->rest, n, r->rest.len);
    return bytes;
}

struct str wire_get_text(struct wire_reader *r)
{
    return wire_get_bytes(r, wire_get_u32(r));
}
