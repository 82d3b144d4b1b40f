/* The layers at work, between `route` and `limit`: API keys, basic credentials, then (after the
 * authorization rules) the external authorizers, each in its order and all of them required. The
 * step `authorize` runs them and may wait; what a layer found stays in the exchange until it ends,
 * because credentials leave the request only when it is sent to a backend. Worker-local. */
#pragma once

#include "gateway/journey.h"
#include "gateway/layer/layer_plan.h"
#include "upstream/hash_pool.h"

struct backend_plan;
struct exchange;

/* In the exchange; zeroed at its start. */
struct layer_state {
    uint32_t n_api_keys; /* checks that have passed */
    uint32_t n_basics;
    uint32_t n_ext_auths;
    bool is_judged;  /* the authorization rules have passed */
    bool is_hashing; /* `hash` has been asked */
    struct hash_wait hash;
    struct credential_digest digest;     /* of the pair being judged */
    struct str user;                     /* in the exchange's arena */
    struct ext_auth_call *call;          /* under way, or just ended */
    VEC(const char *) withheld;          /* where header values begin that stay here */
    VEC(struct check_edit) answer_edits; /* what authorizers add to the answer */
};

/* The layers that say who calls. STEP_NEXT: all have passed. */
enum step_result layer_check_credentials(struct exchange *x);
/* The authorizers. */
enum step_result layer_ask_authorizers(struct exchange *x);
/* Headers that authorizers add to the answer. */
void layer_edit_answer(struct exchange *x, struct http_headers *h);
/* Stops whatever a layer waits for. Safe at any time. */
void layer_cancel(struct exchange *x);
/* What a backend must not get leaves `r`, whose header list is its own: API keys and passwords, and
 * the caller's token where the backend withholds it. */
void layer_withhold(const struct exchange *x, const struct backend_plan *backend,
                    struct http_request *r);
/* Whether layer_withhold would change anything. */
bool layer_is_withholding(const struct exchange *x, const struct backend_plan *backend);
/* For the log: a request target (or a query) without the values of parameters in which some policy
 * of the listener looks for a credential. */
struct str layer_redact_query(struct exchange *x, struct str query);
struct str layer_redact_target(struct exchange *x, struct str target);

/* Between the files of this folder: layer_api_key.c, layer_basic.c, layer_ext_auth.c. */
enum step_result layer_check_api_key(struct exchange *x, const struct api_key_plan *p);
enum step_result layer_check_basic(struct exchange *x, const struct basic_plan *p);
enum step_result layer_ask(struct exchange *x, const struct ext_auth_plan *p);
/* Too many credentials of this address were wrong lately. */
bool layer_is_guessing(const struct exchange *x);
void layer_note_failure(struct exchange *x);
