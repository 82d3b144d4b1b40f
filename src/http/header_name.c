/* Known header names: a small open-addressed table, filled from HEADER_NAMES before main() and
 * immutable from then on. The hash takes the length and three bytes, so a lookup costs one probe
 * and, only where the slot's length fits, one comparison. */
#include "http/header_name.h"

#include "base/assert.h"

#define N_SLOTS 256u

static const struct str header_texts[] = {{"", 0},
#define X(id, text) {text, sizeof(text) - 1},
                                          HEADER_NAMES(X)
#undef X
};

static uint8_t header_slots[N_SLOTS]; /* enum header_id; HEADER_OTHER: empty */

static unsigned header_hash(struct str name)
{
    uint32_t first = (uint8_t)name.ptr[0];
    uint32_t middle = (uint8_t)name.ptr[name.len / 2];
    uint32_t last = (uint8_t)name.ptr[name.len - 1];
    uint32_t key = (uint32_t)name.len | first << 8 | middle << 16 | last << 24;

    return (key * 0x9e3779b1u) >> 24;
}

__attribute__((constructor)) static void header_slots_fill(void)
{
    for (unsigned id = 1; id < HEADER_COUNT_; id++) {
        unsigned slot = header_hash(header_texts[id]);

        while (header_slots[slot] != HEADER_OTHER)
            slot = (slot + 1) % N_SLOTS;
        header_slots[slot] = (uint8_t)id;
    }
}

enum header_id header_id_find(struct str name)
{
    if (name.len < 2)
        return HEADER_OTHER;
    for (unsigned slot = header_hash(name); header_slots[slot]; slot = (slot + 1) % N_SLOTS) {
        if (str_eq(header_texts[header_slots[slot]], name))
            return (enum header_id)header_slots[slot];
    }
    return HEADER_OTHER;
}

struct str header_name(enum header_id id)
{
    PRE(id > HEADER_OTHER && id < HEADER_COUNT_);
    return header_texts[id];
}

bool header_is_framing(enum header_id id)
{
    switch (id) {
    case HEADER_CONNECTION:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_CONTENT_LENGTH:
    case HEADER_TE:
    case HEADER_TRAILER:
    case HEADER_UPGRADE:
    case HEADER_EXPECT:
        return true;
    default:
        return false;
    }
}

bool header_is_framing_alias(struct str name)
{
    return str_eq(name, STR("content_length")) || str_eq(name, STR("transfer_encoding"));
}

bool header_is_protected(enum header_id id, struct str name)
{
    return header_is_framing(id) || header_is_framing_alias(name);
}

bool header_is_model(struct str name)
{
    enum header_id id = header_id_find(name);

    return id == HEADER_X_AI_EG_MODEL || id == HEADER_X_MODEL;
}

bool header_is_credential(enum header_id id, struct str name)
{
    /* Those of the standards, and what vendors make of them: x-api-key, x-auth-token. */
    static const struct str endings[] = {{"authorization", 13}, {"cookie", 6}, {"key", 3},
                                         {"token", 5},          {"secret", 6}, {"password", 8},
                                         {"signature", 9},      {"jwt", 3}};

    if (id != HEADER_OTHER)
        return id == HEADER_AUTHORIZATION || id == HEADER_COOKIE;
    for (size_t i = 0; i < N_ELEMENTS(endings); i++) {
        /* By their last letter first: heads have many headers, and few credentials. */
        if (name.len >= endings[i].len &&
            name.ptr[name.len - 1] == endings[i].ptr[endings[i].len - 1] &&
            str_ends_with(name, endings[i]))
            return true;
    }
    return false;
}

static const struct str forbidden_trailers[] = {
    {"proxy-authorization", 19},
    {"proxy-authenticate", 18},
    {"set-cookie", 10},
    {"cache-control", 13},
    {"max-forwards", 12},
    {"range", 5},
    {"content-range", 13},
    {"age", 3},
    {"expires", 7},
    {"pragma", 6},
    {"x-real-ip", 9},
};

/* Routing, framing, authentication, control data, and who the client is: all of that was decided
 * with the head (RFC 9110 6.5.1). Every name of the gateway's own table is of that kind. */
bool header_is_forbidden_trailer(enum header_id id, struct str name)
{
    if (id != HEADER_OTHER)
        return true;
    for (size_t i = 0; i < N_ELEMENTS(forbidden_trailers); i++) {
        if (str_eq(forbidden_trailers[i], name))
            return true;
    }
    return str_starts_with(name, STR("x-forwarded-")) || str_starts_with(name, STR("x-ai-eg-")) ||
           str_starts_with(name, STR("if-"));
}
