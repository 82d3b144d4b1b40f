/* The arguments of operators: read once, when a format is compiled. Owner: the format's arena.
 * Compile thread. */
#include <stdlib.h>
#include <unistd.h>

#include "telemetry/log_operator.h"
#include "telemetry/log_redact.h"

enum { LOG_TIME_FORMAT_MAX = 128, LOG_HOSTNAME_MAX = 256, LOG_VARIABLE_MAX = 128 };

/* "X?Y" */
static bool log_parse_headers(struct arena *a, struct str argument, struct log_read *op)
{
    struct str lower = arena_lower(a, argument);
    ssize_t mark = str_find_char(lower, '?', 0);

    op->first = log_header_of(str_slice(lower, 0, mark < 0 ? lower.len : (size_t)mark));
    if (mark >= 0)
        op->second = log_header_of(str_slice(lower, (size_t)mark + 1, lower.len));
    return op->first.name.len > 0 && (mark < 0 || op->second.name.len > 0);
}

/* "X:Y", both optional: the header operator that reads the same. */
static bool log_parse_path(struct str argument, struct log_read *op)
{
    const struct log_header original = log_header_of(STR("x-envoy-original-path"));
    const struct log_header routed = log_header_of(STR(":path"));
    ssize_t colon = str_find_char(argument, ':', 0);
    struct str query = str_slice(argument, 0, colon < 0 ? argument.len : (size_t)colon);
    struct str source = colon < 0 ? STR("") : str_slice(argument, (size_t)colon + 1, argument.len);
    bool is_both = source.len == 0 || str_eq(source, STR("ORIG_OR_PATH"));
    bool is_routed = str_eq(source, STR("PATH"));

    op->without_query = str_eq(query, STR("NQ"));
    op->first = is_routed ? routed : original;
    if (is_both)
        op->second = routed;
    return (query.len == 0 || op->without_query || str_eq(query, STR("WQ"))) &&
           (is_both || is_routed || str_eq(source, STR("ORIG")));
}

static bool log_grpc_form_of(struct str argument, enum log_grpc_form *ret)
{
    static const char *const names[] = {"CAMEL_STRING", "SNAKE_STRING", "NUMBER"};

    *ret = LOG_GRPC_CAMEL;
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (!str_eq(argument, str_of(names[i])))
            continue;
        *ret = (enum log_grpc_form)i;
        return true;
    }
    return argument.len == 0;
}

static bool log_point_of(struct str name, enum access_point *ret)
{
    static const char *const names[ACCESS_POINT_COUNT_] = {
        "DS_RX_BEG", "DS_RX_END", "US_TX_BEG", "US_TX_END",
        "US_RX_BEG", "US_RX_END", "DS_TX_BEG", "DS_TX_END",
    };

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (!str_eq(name, str_of(names[i])))
            continue;
        *ret = (enum access_point)i;
        return true;
    }
    return false;
}

/* "START:END:PRECISION" */
static bool log_parse_duration(struct str argument, struct log_read *op)
{
    struct str from, to;

    if (!str_split(&argument, ':', &from) || !str_split(&argument, ':', &to) ||
        !log_point_of(from, &op->from) || !log_point_of(to, &op->to))
        return false;
    op->us_divisor = str_eq(argument, STR("ms")) ? 1000 : str_eq(argument, STR("us")) ? 1 : 0;
    return op->us_divisor > 0 || str_eq(argument, STR("ns"));
}

static bool log_parse_metadata(struct arena *a, struct str argument, struct log_read *op)
{
    op->text = arena_str(a, argument);
    op->metadata = log_metadata_of(argument);
    op->cost_key = arena_str(a, log_cost_key_of(argument));
    return str_find_char(argument, ':', 0) > 0;
}

/* The value as it is now: it does not change. A variable whose name says that it is a secret is
 * none for a log. */
static bool log_take_variable(struct arena *a, struct str name, struct log_read *op)
{
    char text[LOG_VARIABLE_MAX];
    const char *value;

    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    value = getenv(text);
    op->text = arena_str(a, log_clean_text(str_of(value ? value : "")));
    if (op->text.len > 0 && log_redact_is_secret_variable(name))
        op->text = STR("redacted");
    return true;
}

static void log_take_hostname(struct arena *a, struct log_read *op)
{
    char name[LOG_HOSTNAME_MAX] = "";

    if (gethostname(name, sizeof name - 1) == 0)
        op->text = arena_str(a, str_of(name));
}

static bool log_parse_argument(struct arena *a, struct str argument, struct log_read *ret)
{
    static const struct str dynamic = {"DYNAMIC:", 8};

    switch (ret->kind) {
    case LOG_OP_REQ:
    case LOG_OP_REQ_WITHOUT_QUERY:
    case LOG_OP_RESP:
    case LOG_OP_TRAILER:
        return log_parse_headers(a, argument, ret);
    case LOG_OP_PATH:
        return log_parse_path(argument, ret);
    case LOG_OP_START_TIME:
    case LOG_OP_EMIT_TIME:
    case LOG_OP_QUERY_PARAM:
        ret->text = arena_str(a, argument);
        return argument.len <= LOG_TIME_FORMAT_MAX;
    case LOG_OP_RESPONSE_CODE_DETAILS:
        return argument.len == 0 || str_eq(argument, STR("ALLOW_WHITESPACES"));
    case LOG_OP_GRPC_STATUS:
        return log_grpc_form_of(argument, &ret->grpc_form);
    case LOG_OP_COMMON_DURATION:
        return log_parse_duration(argument, ret);
    case LOG_OP_DYNAMIC_METADATA:
        return log_parse_metadata(a, argument, ret);
    case LOG_OP_METADATA:
        return str_starts_with(argument, dynamic) &&
               log_parse_metadata(a, str_slice(argument, dynamic.len, argument.len), ret);
    case LOG_OP_ENVIRONMENT:
        return log_take_variable(a, argument, ret);
    case LOG_OP_HOSTNAME:
        log_take_hostname(a, ret);
        return argument.len == 0;
    default:
        return argument.len == 0;
    }
}

bool log_read_init(struct arena *a, enum log_operator kind, struct str argument,
                   struct log_read *ret)
{
    *ret = (struct log_read){.kind = kind, .without_query = kind == LOG_OP_REQ_WITHOUT_QUERY};
    if (!log_parse_argument(a, argument, ret))
        return false;
    log_read_place(ret);
    return true;
}
