/* The table of AI endpoints as data, and the lookup in it: a handful of length-and-bytes
 * comparisons, since most paths of other traffic differ in length from all of them. Static,
 * immutable. What happens on an endpoint is for gateway and llm. */
#include "llm/ai_endpoint.h"

static const struct ai_endpoint_row rows[] = {{.name = "NONE"},
#define X(name, method, path, dialect, body)                                                       \
    {#name, HTTP_METHOD_##method, STR(path), KSERVE_NONE, AI_DIALECT_##dialect, AI_BODY_##body},
                                              AI_FIXED_ENDPOINTS(X)
#undef X
#define X(name, method, call, dialect, body)                                                       \
    {#name, HTTP_METHOD_##method, {"", 0}, call, AI_DIALECT_##dialect, AI_BODY_##body},
                                                  AI_KSERVE_ENDPOINTS(X)
#undef X
};

_Static_assert(N_ELEMENTS(rows) == AI_ENDPOINT_COUNT_, "one row for every endpoint");

enum ai_endpoint ai_endpoint_find(enum http_method method, struct str path, enum kserve_call call)
{
    for (unsigned i = AI_ENDPOINT_NONE + 1; i < AI_ENDPOINT_COUNT_; i++) {
        const struct ai_endpoint_row *row = &rows[i];

        if (row->method != method || row->call != call)
            continue;
        if (call != KSERVE_NONE || str_eq(row->path, path))
            return (enum ai_endpoint)i;
    }
    return AI_ENDPOINT_NONE;
}

enum ai_dialect ai_dialect_of_path(struct str path)
{
    unsigned version = kserve_version(path);

    if (version > 0)
        return version == 1 ? AI_DIALECT_KSERVE_V1 : AI_DIALECT_KSERVE_V2;
    for (unsigned i = AI_ENDPOINT_NONE + 1; i < AI_ENDPOINT_COUNT_; i++) {
        if (rows[i].call == KSERVE_NONE && str_eq(rows[i].path, path))
            return rows[i].dialect;
    }
    return AI_DIALECT_NONE;
}

const struct ai_endpoint_row *ai_endpoint_row(enum ai_endpoint endpoint)
{
    return &rows[endpoint];
}
