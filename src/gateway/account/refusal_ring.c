/* See refusal_ring.h. A slot has its number, then the fixed part in words, then the texts packed.
 */
#include "gateway/account/refusal_ring.h"

#include <stdatomic.h>

#include "base/limits.h"
#include "base/mem.h"

enum {
    NOTE_TEXTS = 0
#define X(member, bytes) +1
    REFUSAL_NOTE_TEXTS(X)
#undef X
        ,
    NOTE_LENGTHS_PER_WORD = 4, /* of 16 bits */
    NOTE_LENGTH_WORDS = (NOTE_TEXTS + NOTE_LENGTHS_PER_WORD - 1) / NOTE_LENGTHS_PER_WORD,
    NOTE_TIME = 0,
    NOTE_WHAT,
    NOTE_LENGTHS,
    NOTE_BYTES = NOTE_LENGTHS + NOTE_LENGTH_WORDS,
    NOTE_WORDS = NOTE_BYTES + REFUSAL_NOTE_BYTES / 8,
    /* In the word of what it is. */
    NOTE_REFUSAL_SHIFT = 16,
    NOTE_PORT_SHIFT = 32,
    NOTE_TLS_SHIFT = 48,
};

struct refusal_slot {
    _Atomic uint64_t number; /* 2n + 1: the n-th is being written; 2n + 2: it is there; 0: none */
    _Atomic uint64_t words[NOTE_WORDS];
};

struct refusal_ring {
    _Atomic uint64_t n;
    struct refusal_slot slots[LIMIT_REFUSALS_KEPT];
};

static const size_t note_rooms[NOTE_TEXTS] = {
#define X(member, bytes) bytes,
    REFUSAL_NOTE_TEXTS(X)
#undef X
};

struct refusal_ring *refusal_ring_new(void)
{
    return MEM_NEW(struct refusal_ring);
}

void refusal_ring_free(struct refusal_ring *r)
{
    mem_free(r);
}

/* As much of it as has room: between characters, with the sign that there was more. */
static size_t note_pack_text(char *bytes, struct str text, size_t room)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    size_t n = text.len;

    if (UNLIKELY(n > room)) {
        for (n = room - (sizeof ellipsis - 1);
             n > 0 && ((unsigned char)text.ptr[n] & 0xc0) == 0x80;)
            n--;
        memcpy(bytes + n, ellipsis, sizeof ellipsis - 1);
    }
    if (n > 0)
        memcpy(bytes, text.ptr, n);
    return n < text.len ? n + sizeof ellipsis - 1 : n;
}

/* Packs the texts; answers how many words of bytes there are. */
static size_t note_pack(const struct refusal_note *note, uint64_t words[NOTE_WORDS])
{
    const struct str texts[] = {
#define X(member, bytes) note->member,
        REFUSAL_NOTE_TEXTS(X)
#undef X
    };
    char *bytes = (char *)&words[NOTE_BYTES];
    size_t n = 0;

    for (size_t i = 0; i < NOTE_TEXTS; i++) {
        size_t len = note_pack_text(bytes + n, texts[i], note_rooms[i]);
        size_t shift = i % NOTE_LENGTHS_PER_WORD * 16;

        n += len;
        words[NOTE_LENGTHS + i / NOTE_LENGTHS_PER_WORD] |= (uint64_t)len << shift;
    }
    return (n + 7) / 8;
}

void refusal_ring_note(struct refusal_ring *r, const struct refusal_note *note)
{
    uint64_t n = atomic_load_explicit(&r->n, memory_order_relaxed);
    struct refusal_slot *slot = &r->slots[n % LIMIT_REFUSALS_KEPT];
    uint64_t words[NOTE_WORDS] = {0};
    size_t n_words = NOTE_BYTES + note_pack(note, words);

    words[NOTE_TIME] = (uint64_t)note->wall_us;
    words[NOTE_WHAT] = (uint64_t)note->is_tls << NOTE_TLS_SHIFT |
                       (uint64_t)note->port << NOTE_PORT_SHIFT |
                       (uint64_t)note->refusal << NOTE_REFUSAL_SHIFT | note->status;
    atomic_store_explicit(&slot->number, 2 * n + 1, memory_order_relaxed);
    /* Each carries the odd number along to whoever sees it. */
    for (size_t i = 0; i < n_words; i++)
        atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
    atomic_store_explicit(&slot->number, 2 * n + 2, memory_order_release);
    atomic_store_explicit(&r->n, n + 1, memory_order_release);
}

uint64_t refusal_ring_count(const struct refusal_ring *r)
{
    return atomic_load_explicit(&r->n, memory_order_acquire);
}

static void note_unpack(const uint64_t words[NOTE_WORDS], struct refusal_note *ret)
{
    struct str *const texts[] = {
#define X(member, bytes) &ret->member,
        REFUSAL_NOTE_TEXTS(X)
#undef X
    };
    size_t n = 0;

    ret->wall_us = (int64_t)words[NOTE_TIME];
    ret->refusal = (enum refusal)(uint16_t)(words[NOTE_WHAT] >> NOTE_REFUSAL_SHIFT);
    ret->status = (uint16_t)words[NOTE_WHAT];
    ret->port = (uint16_t)(words[NOTE_WHAT] >> NOTE_PORT_SHIFT);
    ret->is_tls = words[NOTE_WHAT] >> NOTE_TLS_SHIFT & 1;
    memcpy(ret->room, &words[NOTE_BYTES], sizeof ret->room);
    for (size_t i = 0; i < NOTE_TEXTS; i++) {
        size_t shift = i % NOTE_LENGTHS_PER_WORD * 16;
        size_t len = (uint16_t)(words[NOTE_LENGTHS + i / NOTE_LENGTHS_PER_WORD] >> shift);

        *texts[i] = str_make(ret->room + n, len);
        n += len;
    }
}

bool refusal_ring_read(const struct refusal_ring *r, uint64_t number, struct refusal_note *ret)
{
    const struct refusal_slot *slot = &r->slots[number % LIMIT_REFUSALS_KEPT];
    uint64_t words[NOTE_WORDS];

    if (atomic_load_explicit(&slot->number, memory_order_acquire) != 2 * number + 2)
        return false;
    for (size_t i = 0; i < NOTE_WORDS; i++)
        words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
    if (atomic_load_explicit(&slot->number, memory_order_relaxed) != 2 * number + 2)
        return false;
    note_unpack(words, ret);
    return true;
}
