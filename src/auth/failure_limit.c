/* A direct-mapped table by keyed hash of the address. */
#include "auth/failure_limit.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { FAILURE_SLOTS = 1024 };

void failure_limit_init(struct failure_limit *f)
{
    f->slots = NULL;
}

void failure_limit_deinit(struct failure_limit *f)
{
    mem_free(f->slots);
    f->slots = NULL;
}

struct failure_source {
    uint8_t bytes[16];
};

static struct failure_source failure_source_of(const uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct failure_source source = {{0}};

    memcpy(source.bytes, address, memcmp(address, mapped, sizeof mapped) == 0 ? 16 : 8);
    return source;
}

uint64_t failure_limit_source(const uint8_t address[16])
{
    struct failure_source source = failure_source_of(address);

    return hash_sip13(hash_process_key(), source.bytes, sizeof source.bytes);
}

static struct failure_slot *failure_slot_of(const struct failure_limit *f,
                                            const struct failure_source *source)
{
    return &f->slots[hash_sip13(hash_process_key(), source->bytes, 16) % FAILURE_SLOTS];
}

bool failure_limit_is_over(const struct failure_limit *f, const uint8_t address[16],
                           uint64_t now_us)
{
    struct failure_source source = failure_source_of(address);
    const struct failure_slot *s;

    if (!f->slots)
        return false;
    s = failure_slot_of(f, &source);
    return s->window == now_us / FAILURE_LIMIT_WINDOW_US &&
           s->n_failures >= FAILURE_LIMIT_PER_WINDOW && memcmp(s->address, source.bytes, 16) == 0;
}

void failure_limit_note(struct failure_limit *f, const uint8_t address[16], uint64_t now_us)
{
    struct failure_source source = failure_source_of(address);
    struct failure_slot *s;
    uint64_t window = now_us / FAILURE_LIMIT_WINDOW_US;

    if (!f->slots)
        f->slots = mem_alloc_zero(FAILURE_SLOTS * sizeof *f->slots);
    s = failure_slot_of(f, &source);
    if (s->window != window || memcmp(s->address, source.bytes, 16) != 0) {
        memcpy(s->address, source.bytes, 16);
        s->window = window;
        s->n_failures = 0;
    }
    s->n_failures++;
}
