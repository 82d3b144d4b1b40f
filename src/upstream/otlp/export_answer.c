/* See export_answer.h. What took an export has it, whatever else it says: sent twice it would count
 * twice. */
#include "upstream/otlp/export_answer.h"

#include <jansson.h>

#include "base/limits.h"

enum export_outcome export_outcome_of_status(unsigned status)
{
    switch (status) {
    case 429:
    case 502:
    case 503:
    case 504:
        return EXPORT_AGAIN;
    default:
        return status / 100 == 2 ? EXPORT_TAKEN : EXPORT_REFUSED;
    }
}

/* A number of 64 bits is a string in protobuf's JSON; what writes a number is understood too. */
static uint64_t export_read_count(const json_t *value)
{
    uint64_t n = 0;

    if (json_is_integer(value) && json_integer_value(value) > 0)
        return (uint64_t)json_integer_value(value);
    if (json_is_string(value) &&
        str_to_u64(str_make(json_string_value(value), json_string_length(value)), &n))
        return n;
    return 0;
}

uint64_t export_n_rejected(struct str body)
{
    json_t *root = body.len > 0 ? json_loadb(body.ptr, body.len, 0, NULL) : NULL;
    const json_t *partial = json_object_get(root, "partialSuccess");
    uint64_t n = export_read_count(json_object_get(partial, "rejectedSpans"));

    if (n == 0)
        n = export_read_count(json_object_get(partial, "rejectedDataPoints"));
    json_decref(root);
    return n;
}

uint64_t export_pause_us(struct str retry_after)
{
    uint64_t s;

    if (!str_to_u64(str_trim(retry_after), &s))
        return 0;
    return MIN(s, (uint64_t)LIMIT_EXPORT_PAUSE_S) * 1000000;
}
