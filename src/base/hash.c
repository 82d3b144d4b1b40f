/* SipHash (Aumasson and Bernstein, 2012). The word loop is written once and inlined for both round
 * counts. */
#include "base/hash.h"

#include <pthread.h>
#include <sys/random.h>

#include "base/assert.h"

struct sip_state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t sip_rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_rounds(struct sip_state *s, int n)
{
    for (int i = 0; i < n; i++) {
        s->v0 += s->v1;
        s->v1 = sip_rotate(s->v1, 13) ^ s->v0;
        s->v0 = sip_rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = sip_rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = sip_rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = sip_rotate(s->v1, 17) ^ s->v2;
        s->v2 = sip_rotate(s->v2, 32);
    }
}

static inline void sip_word(struct sip_state *s, uint64_t word, int n_rounds)
{
    s->v3 ^= word;
    sip_rounds(s, n_rounds);
    s->v0 ^= word;
}

static inline uint64_t sip_hash(struct hash_key key, const void *bytes, size_t n, int c, int d)
{
    struct sip_state s = {key.k0 ^ 0x736f6d6570736575ULL, key.k1 ^ 0x646f72616e646f6dULL,
                          key.k0 ^ 0x6c7967656e657261ULL, key.k1 ^ 0x7465646279746573ULL};
    const unsigned char *p = bytes;
    uint64_t word;
    uint64_t last = (uint64_t)n << 56;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        memcpy(&word, p + i, 8);
        sip_word(&s, word, c);
    }
    for (size_t k = 0; i + k < n; k++)
        last |= (uint64_t)p[i + k] << (8 * k);
    sip_word(&s, last, c);
    s.v2 ^= 0xff;
    sip_rounds(&s, d);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_sip13(struct hash_key key, const void *bytes, size_t n)
{
    return sip_hash(key, bytes, n, 1, 3);
}

uint64_t hash_sip24(struct hash_key key, const void *bytes, size_t n)
{
    return sip_hash(key, bytes, n, 2, 4);
}

static struct hash_key process_key;
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void hash_draw_key(void)
{
    ssize_t n = getrandom(&process_key, sizeof process_key, 0);

    ASSERT(n == (ssize_t)sizeof process_key);
}

struct hash_key hash_process_key(void)
{
    pthread_once(&process_key_once, hash_draw_key);
    return process_key;
}

uint64_t hash_str(struct str s)
{
    return hash_sip13(hash_process_key(), s.ptr, s.len);
}

uint64_t hash_str_nocase(struct str s)
{
    char small[256];
    uint64_t hash = s.len;

    /* Long names are folded block by block; each block's hash is mixed into the next. */
    for (size_t at = 0; at < s.len || at == 0; at += sizeof small - 8) {
        struct str block = str_slice(s, at, at + sizeof small - 8);

        memcpy(small, &hash, 8);
        for (size_t i = 0; i < block.len; i++)
            small[8 + i] = str_lower_char(block.ptr[i]);
        hash = hash_sip13(hash_process_key(), small, 8 + block.len);
    }
    return hash;
}
