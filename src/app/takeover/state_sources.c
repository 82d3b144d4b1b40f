/* See state_sources.h. Key sets go by the identity of their feed, which its configuration makes:
 * what the other would fetch from elsewhere is nothing to it. */
#include "app/takeover/state_sources.h"

#include <netinet/in.h>

#include "app/takeover/wire.h"
#include "base/limits.h"
#include "base/mem.h"

struct source_teller {
    struct state_sink *sink;
    uint32_t session;
};

static void source_tell(const struct source_teller *t, const char *name, struct buf *record)
{
    t->sink->tell(t->sink, name, t->session, buf_str(record));
    buf_deinit(record);
}

/* ---- key sets ---- */

static void keys_tell(void *ctx, const struct key_feed_copy *copy)
{
    struct buf record = {0};

    wire_put_text(&record, copy->key);
    wire_put_u64(&record, copy->age_us);
    wire_put_text(&record, copy->json);
    source_tell(ctx, "keys", &record);
}

void keys_state_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    struct source_teller teller = {sink, session};

    key_feed_export(&g->feeds, keys_tell, &teller);
}

bool keys_state_take(struct server *g, struct str record)
{
    struct wire_reader r = {.rest = record};
    struct key_feed_copy copy = {.key = wire_get_text(&r)};

    copy.age_us = wire_get_u64(&r);
    copy.json = wire_get_text(&r);
    if (!wire_is_done(&r))
        return false;
    key_feed_import(&g->feeds, &copy);
    return true;
}

/* ---- addresses of names ---- */

static void names_put_address(struct buf *out, const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

    if (address->ss_family == AF_INET)
        wire_put_text(out, str_make(&v4->sin_addr, sizeof v4->sin_addr));
    else
        wire_put_text(out, str_make(&v6->sin6_addr, sizeof v6->sin6_addr));
}

/* The length says the family. */
static bool names_get_address(struct wire_reader *r, struct resolve_address *ret)
{
    struct str bytes = wire_get_text(r);
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&ret->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&ret->address;

    *ret = (struct resolve_address){0};
    if (bytes.len == sizeof v4->sin_addr) {
        v4->sin_family = AF_INET;
        memcpy(&v4->sin_addr, bytes.ptr, sizeof v4->sin_addr);
        ret->len = sizeof *v4;
    } else if (bytes.len == sizeof v6->sin6_addr) {
        v6->sin6_family = AF_INET6;
        memcpy(&v6->sin6_addr, bytes.ptr, sizeof v6->sin6_addr);
        ret->len = sizeof *v6;
    }
    return ret->len > 0;
}

static void names_tell(void *ctx, const struct name_answer *answer)
{
    struct buf record = {0};

    wire_put_text(&record, answer->host);
    wire_put_u64(&record, answer->age_us);
    for (size_t i = 0; i < answer->n_addresses; i++)
        names_put_address(&record, &answer->addresses[i].address);
    source_tell(ctx, "names", &record);
}

void names_state_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    struct source_teller teller = {sink, session};

    names_export(&g->names, names_tell, &teller);
}

bool names_state_take(struct server *g, struct str record)
{
    struct wire_reader r = {.rest = record};
    struct name_answer answer = {.host = wire_get_text(&r)};
    struct resolve_address *addresses;
    bool is_sound;

    answer.age_us = wire_get_u64(&r);
    addresses = mem_alloc(LIMIT_NAME_ADDRESSES * sizeof addresses[0]);
    while (r.rest.len > 0 && answer.n_addresses < LIMIT_NAME_ADDRESSES &&
           names_get_address(&r, &addresses[answer.n_addresses]))
        answer.n_addresses++;
    is_sound = wire_is_done(&r) && answer.n_addresses > 0 && answer.host.len > 0;
    answer.addresses = addresses;
    if (is_sound)
        names_import(&g->names, &answer);
    mem_free(addresses);
    return is_sound;
}
