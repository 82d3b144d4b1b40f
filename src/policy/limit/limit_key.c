/* See limit_key.h. Each value stands behind a tag of two bytes: its length, or that a hash stands
 * for it; a key that would grow too long is folded to a hash of what it was, and goes on behind
 * that. */
#include "policy/limit/limit_key.h"

#include "base/hash.h"

enum {
    KEY_TAG_BYTES = 2,
    KEY_HASH_BYTES = 16,
    KEY_LONG_VALUE = 0xffff, /* tags beyond any length of a value that stands there whole */
    KEY_FOLDED = 0xfffe,
};

static void key_put_tag(struct limit_key *k, unsigned tag)
{
    k->bytes[k->n++] = (char)(tag & 0xff);
    k->bytes[k->n++] = (char)(tag >> 8);
}

static void key_put_hash(struct limit_key *k, unsigned tag, const void *bytes, size_t n)
{
    struct hash_key first = hash_process_key();
    struct hash_key second = {first.k1 ^ 0x6c696d69746b6579ULL, first.k0 ^ 0x64697374696e6374ULL};
    uint64_t words[2] = {hash_sip24(first, bytes, n), hash_sip24(second, bytes, n)};

    key_put_tag(k, tag);
    memcpy(k->bytes + k->n, words, sizeof words);
    k->n = (uint16_t)(k->n + sizeof words);
}

static void key_fold(struct limit_key *k)
{
    char before[LIMIT_KEY_BYTES];
    size_t n = k->n;

    memcpy(before, k->bytes, n);
    k->n = 0;
    key_put_hash(k, KEY_FOLDED, before, n);
}

void limit_key_add(struct limit_key *k, struct str value)
{
    size_t n_kept = value.len <= LIMIT_KEY_BYTES / 2 ? value.len : KEY_HASH_BYTES;

    if (k->n + KEY_TAG_BYTES + n_kept > LIMIT_KEY_BYTES)
        key_fold(k);
    if (value.len > LIMIT_KEY_BYTES / 2) {
        key_put_hash(k, KEY_LONG_VALUE, value.ptr, value.len);
        return;
    }
    key_put_tag(k, (unsigned)value.len);
    if (value.len > 0)
        memcpy(k->bytes + k->n, value.ptr, value.len);
    k->n = (uint16_t)(k->n + value.len);
}

static unsigned key_tag(struct str rest)
{
    return (unsigned char)rest.ptr[0] | (unsigned)(unsigned char)rest.ptr[1] << 8;
}

bool limit_key_is_folded(struct str key)
{
    return key.len >= KEY_TAG_BYTES && key_tag(key) == KEY_FOLDED;
}

bool limit_key_next(struct str *rest, struct limit_key_part *ret)
{
    unsigned tag = rest->len >= KEY_TAG_BYTES ? key_tag(*rest) : 0;
    size_t n = tag >= KEY_FOLDED ? KEY_HASH_BYTES : tag;

    if (rest->len < KEY_TAG_BYTES + n)
        return false;
    ret->is_hash = tag >= KEY_FOLDED;
    ret->value = str_slice(*rest, KEY_TAG_BYTES, KEY_TAG_BYTES + n);
    *rest = str_slice(*rest, KEY_TAG_BYTES + n, rest->len);
    return true;
}
