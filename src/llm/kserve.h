/* Model names in KServe paths: V1 "/v1/models/{m}[:predict|:explain]", V2
 * "/v2/models/{m}[/versions/{v}][/ready|/infer|/generate|/generate_stream]" (Open Inference
 * Protocol). Works on the one normalized path, whatever the method: authorization by model must see
 * the model on every spelling that a model server would act on. Pure; any thread. */
#pragma once

#include "base/arena.h"

enum kserve_call {
    KSERVE_NONE,  /* no path of this kind */
    KSERVE_OTHER, /* names a model, but is no call listed here */
    KSERVE_V1_MODEL,
    KSERVE_V1_PREDICT,
    KSERVE_V1_EXPLAIN,
    KSERVE_V2_MODEL,
    KSERVE_V2_READY,
    KSERVE_V2_INFER,
    KSERVE_V2_GENERATE,
    KSERVE_V2_GENERATE_STREAM,
};

/* Conditions of kserve_parse. */
enum kserve_condition {
    KSERVE_BAD_NAME = 1, /* the model name is too long or holds a byte that no name has: 400; or no
                            element of a path can say it */
};

struct kserve_path {
    enum kserve_call call;
    struct str model;   /* percent-decoded; borrows from the path where nothing was to decode */
    struct str version; /* as in the path; empty: none */
    size_t begin, end;  /* of the model's spelling in the path */
};

/* 1 or 2: the protocol that has this path, be it about a model or about the server, and however the
 * model is spelt; 0: neither. */
unsigned kserve_version(struct str path);
/* Can it be a model's name, wherever it stands? */
bool kserve_is_name(struct str name);
/* `*ret_path` is filled in with 0; its model is empty exactly with KSERVE_NONE. */
MUST_USE int kserve_parse(struct str path, struct arena *arena, struct kserve_path *ret_path);
/* The same path with another model, percent-encoded, in the arena. `parsed` is what kserve_parse
 * made of `path`. */
MUST_USE int kserve_replace_model(struct str path, const struct kserve_path *parsed,
                                  struct str model, struct arena *arena, struct str *ret_path);
