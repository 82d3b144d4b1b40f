/* Kinds as people write them on a command line: "gateway", "Gateways", "gtw",
 * "gateways.gateway.networking.k8s.io", or a category of several: "all", "envoy-gateway". Pure. */
#pragma once

#include "base/buf.h"
#include "manifest/kind.h"

struct kind_list {
    const struct kind *items[KIND_COUNT];
    size_t n;
};

enum kind_word_result {
    KIND_WORD_UNKNOWN = 1, /* no kind is called so */
};

/* Adds the kinds that the word means, in the order of the table: two APIs may share a name. */
MUST_USE int kind_word_find(struct str word, struct kind_list *list);
/* The nearest name of any kind, or NULL. */
const char *kind_word_nearest(struct str word);
/* "gateways.gateway.networking.k8s.io"; "services" of the core group. */
void kind_word_append_plural(struct buf *out, const struct kind *k);
/* "gateway.gateway.networking.k8s.io": before a name where several kinds are shown. */
void kind_word_append_singular(struct buf *out, const struct kind *k);
