/* RequestHeaderModifier and ResponseHeaderModifier (Gateway API HTTPHeaderFilter): remove, then
 * set, then add. Compiled once, immutable, applied by any thread. */
#pragma once

#include "http/message.h"

struct header_mod {
    struct str name; /* lower-case */
    struct str value;
    enum header_id id;
};

struct header_mods {
    const struct header_mod *set;
    const struct header_mod *add;
    const struct header_mod *remove; /* values empty */
    uint16_t n_set;
    uint16_t n_add;
    uint16_t n_remove;
    struct str host; /* "set" of Host on a request; ptr NULL: none */
};

struct header_mods_spec {
    const struct header_mod *set; /* names in any case, ids ignored */
    size_t n_set;
    const struct header_mod *add;
    size_t n_add;
    const struct str *remove;
    size_t n_remove;
};

/* Conditions of header_mods_init. */
enum header_mods_condition {
    HEADER_MODS_PROTECTED = 1, /* framing and connection headers are not a route's to change */
    HEADER_MODS_BAD_NAME = 2,  /* no token (RFC 9110 5.1) */
    HEADER_MODS_BAD_VALUE = 3, /* a byte that no field value may hold */
    HEADER_MODS_TOO_MANY = 4,  /* more than LIMIT_HEADER_COUNT of one kind */
};

/* Copies into `arena`. Of several entries for one name in a list the first counts. On a condition
 * `*ret_name` is the entry's name. */
MUST_USE int header_mods_init(struct header_mods *m, struct arena *arena,
                              const struct header_mods_spec *spec, struct str *ret_name);
/* Names and values in the list borrow from the compiled object from then on. */
void header_mods_apply(const struct header_mods *m, struct http_headers *headers);
/* As above, and a set of Host becomes the request's authority (what goes upstream; routing is
 * over).
 */
void header_mods_apply_request(const struct header_mods *m, struct http_request *request);
