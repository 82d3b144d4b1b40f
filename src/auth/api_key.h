/* API keys: which client does this key belong to? The keys themselves are not kept, only their
 * digests. Immutable once all are added; refcounted, because several rules and successive
 * configurations share a set. Source: Envoy Gateway API, "APIKeyAuth". */
#pragma once

#include "base/str.h"

struct api_keys;

enum api_key_result {
    API_KEY_EMPTY = 1, /* a key without a byte: a request could "have" it by accident */
    API_KEY_TAKEN,     /* another client has the same key: nobody could say who calls */
};

/* Empty, one reference. */
struct api_keys *api_keys_new(void);
/* One thread, before the set is shared. Of a client that is there already the first key stays
 * (Envoy Gateway: "the first one will be used"). */
MUST_USE int api_keys_add(struct api_keys *k, struct str client_id, struct str key);
struct api_keys *api_keys_ref(struct api_keys *k);
/* Any thread; NULL is nothing. */
void api_keys_unref(struct api_keys *k);
/* Any thread. What it takes tells nothing about the keys: digests are looked up, and compared in
 * constant time. `ret_client_id` borrows from the set. */
bool api_keys_find(const struct api_keys *k, struct str key, struct str *ret_client_id);
size_t api_keys_count(const struct api_keys *k);
