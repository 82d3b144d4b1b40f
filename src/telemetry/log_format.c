/* A format is a row of ops: bytes as they are, and behind them an operator's value in one of three
 * styles (text, JSON value, inside a JSON string). */
#include "telemetry/log_format.h"

#include <pthread.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/vec.h"
#include "telemetry/log_operator.h"

enum { LOG_BLOCK_BYTES = 32 }; /* most literals are no longer */

enum log_style {
    LOG_NO_VALUE,
    LOG_AS_TEXT,
    LOG_AS_JSON,
    LOG_AS_JSON_IF_ANY, /* an absent value leaves out the literal too */
    LOG_IN_JSON,
};

struct log_op {
    struct str literal; /* whole blocks can be read, the last one beyond its end */
    enum log_style style;
    struct log_read read;
};

struct log_format {
    VEC(struct log_op) ops;
    size_t n_values;        /* ops with one */
    size_t n_literal_bytes; /* of all ops */
};

enum {
    LOG_VALUE_FRAME_BYTES = 24, /* quotes of a text, or all of a number */
    LOG_ESCAPE_BYTES = 6,       /* what one byte of a text becomes at the most */
    LOG_LITERALS_MAX = LIMIT_LOG_LINE_BYTES / 2,
};

/* ---- compilation ---- */

struct log_parser {
    struct arena *arena;
    struct log_format *format;
    struct log_format_error *error;
    struct str text;
    size_t at;
    struct buf literal; /* in front of the next operator */
};

static int log_bad(struct log_parser *p, size_t column, const char *what, struct str where)
{
    p->error->column = (uint32_t)column;
    snprintf(p->error->text, sizeof p->error->text, "%s: %.*s", what, (int)MIN(where.len, 60UL),
             where.ptr ? where.ptr : "");
    return LOG_FORMAT_BAD;
}

static void log_add_op(struct log_parser *p, enum log_style style, const struct log_read *read)
{
    struct str literal = buf_str(&p->literal);
    struct log_op *op = VEC_ADD(p->arena, &p->format->ops);
    char *bytes;

    op->style = style;
    op->read = *read;
    p->format->n_values += style != LOG_NO_VALUE;
    p->format->n_literal_bytes += literal.len;
    if (literal.len == 0)
        return;
    bytes = arena_alloc(p->arena, literal.len + LOG_BLOCK_BYTES);
    memcpy(bytes, literal.ptr, literal.len);
    op->literal = str_make(bytes, literal.len);
    buf_clear(&p->literal);
}

/* What stays of a line for its values. Escapes of the format's own text count as they are written.
 */
static int log_judge_size(struct log_parser *p)
{
    const struct log_format *f = p->format;

    if (f->n_literal_bytes + f->n_values * LOG_VALUE_FRAME_BYTES > LOG_LITERALS_MAX)
        return log_bad(p, 0, "the format is too long", STR(""));
    return 0;
}

/* The bytes behind the last operator are an op too. */
static int log_end(struct log_parser *p, int r, const struct log_format **ret)
{
    static const struct log_read nothing;

    if (r == 0) {
        log_add_op(p, LOG_NO_VALUE, &nothing);
        r = log_judge_size(p);
    }
    if (r == 0)
        *ret = p->format;
    buf_deinit(&p->literal);
    return r;
}

static bool log_find_operator(struct str name, enum log_operator *ret)
{
    for (unsigned i = 0; i < LOG_OP_COUNT_; i++) {
        if (str_eq(name, log_operator_rows[i].name)) {
            *ret = (enum log_operator)i;
            return true;
        }
    }
    return false;
}

/* What stands between the percent signs, taken apart. */
struct log_command {
    struct str name;
    struct str argument;
    bool has_argument;
    struct str length; /* behind the colon */
    bool has_length;
};

/* p->at stands behind the opening percent sign; afterwards behind the closing one. An argument may
 * hold percent signs (START_TIME). */
static int log_split_command(struct log_parser *p, struct log_command *ret)
{
    size_t start = p->at;
    size_t end = start;
    struct str t = p->text;
    ssize_t close;

    while (end < t.len && t.ptr[end] != '%' && t.ptr[end] != '(' && t.ptr[end] != ':')
        end++;
    ret->name = str_slice(t, start, end);
    if (end < t.len && t.ptr[end] == '(') {
        close = str_find_char(t, ')', end);
        if (close < 0)
            return log_bad(p, end, "the parenthesis is not closed", str_slice(t, start, t.len));
        ret->has_argument = true;
        ret->argument = str_slice(t, end + 1, (size_t)close);
        end = (size_t)close + 1;
    }
    if (end < t.len && t.ptr[end] == ':') {
        close = str_find_char(t, '%', end);
        ret->has_length = true;
        ret->length = str_slice(t, end + 1, close < 0 ? t.len : (size_t)close);
        end = close < 0 ? t.len : (size_t)close;
    }
    if (end >= t.len || t.ptr[end] != '%')
        return log_bad(p, start - 1, "the percent sign that ends the operator is missing",
                       str_slice(t, start, t.len));
    p->at = end + 1;
    return 0;
}

static int log_parse_operator(struct log_parser *p, enum log_style style)
{
    size_t start = p->at;
    struct log_command c = {0};
    struct log_read op;
    enum log_operator kind;
    const struct log_operator_row *row;
    uint64_t limit = 0;
    int r = log_split_command(p, &c);

    if (r != 0)
        return r;
    if (!log_find_operator(c.name, &kind))
        return log_bad(p, start,
                       log_operator_is_envoys(c.name) ? "operator that is not supported here"
                                                      : "unknown operator",
                       c.name);
    row = &log_operator_rows[kind];
    if (row->argument == LOG_NEEDS_ARGUMENT && c.argument.len == 0)
        return log_bad(p, start, "the operator needs an argument", c.name);
    if (row->argument == LOG_NO_ARGUMENT && c.has_argument)
        return log_bad(p, start, "the operator takes no argument", c.name);
    if (!log_read_init(p->arena, kind, c.argument, &op))
        return log_bad(p, start, "malformed argument", c.argument);
    if (c.has_length && (!row->may_cut || !str_to_u64(c.length, &limit) || limit == 0))
        return log_bad(p, start, "a length is not possible here", c.length);
    op.limit_bytes = (size_t)limit;
    log_add_op(p, style, &op);
    return 0;
}

static void log_append_in_json(struct buf *out, struct str s)
{
    size_t start = out->len;

    buf_append_json(out, s);
    out->len -= 2; /* its quotes */
    memmove(out->ptr + start, out->ptr + start + 1, out->len - start);
}

/* Literals of a JSON string are escaped here, once. */
static void log_add_text(struct log_parser *p, struct str text, enum log_style style)
{
    if (style == LOG_AS_TEXT)
        buf_append_str(&p->literal, text);
    else
        log_append_in_json(&p->literal, text);
}

static int log_parse(struct log_parser *p, enum log_style style)
{
    while (p->at < p->text.len) {
        ssize_t percent = str_find_char(p->text, '%', p->at);
        size_t end = percent < 0 ? p->text.len : (size_t)percent;
        int r;

        if (end > p->at)
            log_add_text(p, str_slice(p->text, p->at, end), style);
        p->at = end + 1;
        if (percent < 0)
            break;
        if (p->at < p->text.len && p->text.ptr[p->at] == '%') { /* "%%" */
            buf_append_char(&p->literal, '%');
            p->at++;
            continue;
        }
        r = log_parse_operator(p, style);
        if (r != 0)
            return r;
    }
    return 0;
}

int log_format_new_text(struct arena *a, struct str text, const struct log_format **ret,
                        struct log_format_error *ret_error)
{
    struct log_parser p = {.arena = a, .error = ret_error, .text = text};
    int r;

    *ret_error = (struct log_format_error){0};
    p.format = ARENA_NEW(a, struct log_format);
    if (text.len > LIMIT_LOG_FORMAT_BYTES)
        return log_bad(&p, 0, "the format is too long", STR(""));
    if (str_ends_with(text, STR("\n")))
        p.text.len--;
    r = log_parse(&p, LOG_AS_TEXT);
    return log_end(&p, r, ret);
}

/* One operator and nothing else: it keeps its type. */
static bool log_is_one_operator(struct log_parser *p)
{
    struct log_parser probe = *p;
    struct log_command c = {0};

    if (p->text.len < 3 || p->text.ptr[0] != '%' || p->text.ptr[1] == '%')
        return false;
    probe.at = 1;
    return log_split_command(&probe, &c) == 0 && probe.at == p->text.len;
}

/* `style` where the value is one operator: LOG_AS_JSON, or LOG_AS_JSON_IF_ANY but for the first. */
static int log_parse_member(struct log_parser *p, struct str name, bool is_first,
                            enum log_style style)
{
    int r;

    buf_append_char(&p->literal, is_first ? '{' : ',');
    buf_append_json(&p->literal, name);
    buf_append_char(&p->literal, ':');
    if (log_is_one_operator(p)) {
        p->at = 1;
        return log_parse_operator(p, style);
    }
    buf_append_char(&p->literal, '"');
    r = log_parse(p, LOG_IN_JSON);
    buf_append_char(&p->literal, '"');
    return r;
}

/* Of the members from `n_always` on, those that are absent are left out. */
static int log_format_new_members(struct arena *a, const struct str *names,
                                  const struct str *values, size_t n, size_t n_always,
                                  const struct log_format **ret, struct log_format_error *ret_error)
{
    struct log_parser p = {.arena = a, .error = ret_error};
    size_t n_bytes = 0;
    int r = 0;

    *ret_error = (struct log_format_error){0};
    p.format = ARENA_NEW(a, struct log_format);
    for (size_t i = 0; r == 0 && i < n; i++) {
        ret_error->index = (uint32_t)i;
        n_bytes += names[i].len + values[i].len;
        p.text = values[i];
        p.at = 0;
        r = n_bytes > LIMIT_LOG_FORMAT_BYTES
                ? log_bad(&p, 0, "the format is too long", names[i])
                : log_parse_member(&p, names[i], i == 0,
                                   i < n_always ? LOG_AS_JSON : LOG_AS_JSON_IF_ANY);
    }
    buf_append_str(&p.literal, n > 0 ? STR("}") : STR("{}"));
    return log_end(&p, r, ret);
}

int log_format_new_json(struct arena *a, const struct str *names, const struct str *values,
                        size_t n, const struct log_format **ret, struct log_format_error *ret_error)
{
    return log_format_new_members(a, names, values, n, n, ret, ret_error);
}

/* ---- the default ---- */

struct log_member {
    const char *name;
    const char *value;
};

static const struct log_member log_envoy_members[] = {
    {"start_time", "%START_TIME%"},
    {"method", "%REQ(:METHOD)%"},
    {"x-envoy-origin-path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"},
    {"upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"x-envoy-upstream-service-time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
    {"x-forwarded-for", "%REQ(X-FORWARDED-FOR)%"},
    {"user-agent", "%REQ(USER-AGENT)%"},
    {"x-request-id", "%REQ(X-REQUEST-ID)%"},
    {":authority", "%REQ(:AUTHORITY)%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER%"},
    {"upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"},
    {"downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"requested_server_name", "%REQUESTED_SERVER_NAME%"},
    {"route_name", "%ROUTE_NAME%"},
};

/* Ours, where there is something to say. Tenant, model and subject as the gateway knows them: a
 * client can write the headers of these names itself where no claim replaces them. */
static const struct log_member log_own_members[] = {
    {"tenant", "%DYNAMIC_METADATA(tollgate:tenant)%"},
    {"model", "%DYNAMIC_METADATA(tollgate:model)%"},
    {"jwt_sub", "%DYNAMIC_METADATA(tollgate:jwt_sub)%"},
    {"model_served", "%DYNAMIC_METADATA(tollgate:model_served)%"},
    {"tokens_in", "%DYNAMIC_METADATA(tollgate:tokens_in)%"},
    {"tokens_cached", "%DYNAMIC_METADATA(tollgate:tokens_cached)%"},
    {"tokens_out", "%DYNAMIC_METADATA(tollgate:tokens_out)%"},
    {"tokens_reasoning", "%DYNAMIC_METADATA(tollgate:tokens_reasoning)%"},
    {"tokens_total", "%DYNAMIC_METADATA(tollgate:tokens_total)%"},
    {"tokens_source", "%DYNAMIC_METADATA(tollgate:tokens_source)%"},
    {"first_token_ms", "%DYNAMIC_METADATA(tollgate:first_token_ms)%"},
    {"ai_service", "%DYNAMIC_METADATA(tollgate:ai_service)%"},
    {"attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"},
    {"grpc_status", "%GRPC_STATUS%"},
};

static struct arena log_default_arena; /* process scope */
static const struct log_format *log_default;

static void log_default_make(void)
{
    enum { N_ENVOY = N_ELEMENTS(log_envoy_members), N = N_ENVOY + N_ELEMENTS(log_own_members) };
    struct str names[N];
    struct str values[N];
    struct log_format_error error;
    int r;

    arena_init(&log_default_arena, 4096);
    for (size_t i = 0; i < N; i++) {
        const struct log_member *m =
            i < N_ENVOY ? &log_envoy_members[i] : &log_own_members[i - N_ENVOY];

        names[i] = str_of(m->name);
        values[i] = str_of(m->value);
    }
    r = log_format_new_members(&log_default_arena, names, values, N, N_ENVOY, &log_default, &error);
    ASSERT(r == 0);
}

const struct log_format *log_format_default(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, log_default_make);
    return log_default;
}

/* ---- lines ---- */

static bool log_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Bytes of UTF-8 pass as \x escapes too: a line of text has no encoding of its own. */
static void log_append_text(struct buf *out, struct str s)
{
    static const char digits[] = "0123456789abcdef";
    size_t i = 0;

    while (i < s.len) {
        size_t start = i;

        while (i < s.len && log_is_plain((unsigned char)s.ptr[i]))
            i++;
        buf_append(out, s.ptr + start, i - start);
        if (i < s.len) {
            unsigned char c = (unsigned char)s.ptr[i++];
            char escape[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};

            if (c == '"' || c == '\\') {
                escape[1] = (char)c;
                buf_append(out, escape, 2);
            } else {
                buf_append(out, escape, 4);
            }
        }
    }
}

static inline bool log_is_json(enum log_style style)
{
    return style == LOG_AS_JSON || style == LOG_AS_JSON_IF_ANY;
}

/* By value: nothing of it is in memory where the compiler sees both ends. */
static inline void log_append_value(struct buf *out, enum log_style style, struct log_value value)
{
    if (value.kind == LOG_TEXT && log_is_json(style)) {
        buf_append_json(out, value.text);
        return;
    }
    if (value.kind == LOG_NEGATIVE)
        buf_append_char(out, '-');
    if (value.kind == LOG_NUMBER || value.kind == LOG_NEGATIVE)
        buf_append_u64(out, value.number);
    else if (value.kind == LOG_ABSENT && log_is_json(style))
        buf_append(out, "null", 4);
    else if (value.kind == LOG_ABSENT)
        buf_append_char(out, '-');
    else if (style == LOG_IN_JSON)
        log_append_in_json(out, value.text);
    else
        log_append_text(out, value.text);
}

/* By whole blocks, so that the many short ones cost no call. */
static inline void log_append_literal(struct buf *out, struct str literal)
{
    char *to = buf_reserve(out, literal.len + LOG_BLOCK_BYTES);

    for (size_t i = 0; i < literal.len; i += LOG_BLOCK_BYTES)
        memcpy(to + i, literal.ptr + i, LOG_BLOCK_BYTES);
    out->len += literal.len;
}

static inline struct log_value log_op_read(const struct log_op *op, const struct access_record *r,
                                           char *scratch)
{
    if (op->style == LOG_NO_VALUE)
        return (struct log_value){.kind = LOG_ABSENT};
    return log_read(&op->read, r, scratch);
}

static inline bool log_op_is_left_out(const struct log_op *op, const struct log_value *value)
{
    return op->style == LOG_AS_JSON_IF_ANY && value->kind == LOG_ABSENT;
}

/* False: the line is too long. Nothing behind that is written. */
static bool log_write_line(const struct log_format *f, const struct access_record *r,
                           struct buf *out)
{
    size_t end = out->len + LIMIT_LOG_LINE_BYTES - 1;
    char scratch[LOG_SCRATCH_BYTES];

    VEC_FOREACH (&f->ops, op) {
        struct log_value value = log_op_read(op, r, scratch);

        if (log_op_is_left_out(op, &value))
            continue;
        log_append_literal(out, op->literal);
        if (op->style == LOG_NO_VALUE)
            break;
        log_append_value(out, op->style, value);
        if (UNLIKELY(out->len > end))
            return false;
    }
    return out->len <= end;
}

/* The same with an equal share of the room for each text; what one leaves is for those behind it.
 */
static void log_write_cut_line(const struct log_format *f, const struct access_record *r,
                               struct buf *out)
{
    size_t room =
        LIMIT_LOG_LINE_BYTES - 1 - f->n_literal_bytes - f->n_values * LOG_VALUE_FRAME_BYTES;
    size_t n_left = f->n_values;
    char scratch[LOG_SCRATCH_BYTES];

    VEC_FOREACH (&f->ops, op) {
        struct log_value value = log_op_read(op, r, scratch);
        size_t before;

        n_left -= op->style != LOG_NO_VALUE;
        if (log_op_is_left_out(op, &value))
            continue;
        log_append_literal(out, op->literal);
        if (op->style == LOG_NO_VALUE)
            break;
        before = out->len;
        if (value.kind == LOG_TEXT)
            value.text = str_slice(value.text, 0, room / (n_left + 1) / LOG_ESCAPE_BYTES);
        log_append_value(out, op->style, value);
        if (value.kind == LOG_TEXT)
            room -= MIN(room, out->len - before);
    }
}

/* Who sends texts that are longer than a line may be does not hide what was done: they are cut. */
void log_format_line(const struct log_format *f, const struct access_record *r, struct buf *out)
{
    size_t start = out->len;

    if (UNLIKELY(!log_write_line(f, r, out))) {
        out->len = start;
        log_write_cut_line(f, r, out);
    }
    buf_append_char(out, '\n');
}

bool log_format_reads_peer(const struct log_format *f)
{
    VEC_FOREACH (&f->ops, op) {
        if (op->style != LOG_NO_VALUE && log_reads_peer(op->read.kind))
            return true;
    }
    return false;
}

bool log_format_next_metadata(const struct log_format *f, size_t *io_at, struct str *ret_name,
                              struct str *ret_cost)
{
    for (; *io_at < f->ops.n; (*io_at)++) {
        const struct log_op *op = &f->ops.items[*io_at];

        if (op->style == LOG_NO_VALUE || op->read.metadata ||
            (op->read.kind != LOG_OP_DYNAMIC_METADATA && op->read.kind != LOG_OP_METADATA))
            continue;
        *ret_name = op->read.text;
        *ret_cost = op->read.cost_key;
        (*io_at)++;
        return true;
    }
    return false;
}

static void log_members_docs(struct buf *out, const struct log_member *members, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "- `%s`: `%s`\n", members[i].name, members[i].value);
}

void log_format_default_docs(struct buf *out)
{
    buf_printf(out, "A line is an object of JSON unless a format says otherwise, with Envoy "
                    "Gateway's members:\n\n");
    log_members_docs(out, log_envoy_members, N_ELEMENTS(log_envoy_members));
    buf_printf(out, "\nand, each only where there is something to say:\n\n");
    log_members_docs(out, log_own_members, N_ELEMENTS(log_own_members));
}

void log_format_docs(struct buf *out)
{
    buf_printf(out, "| operator | argument | meaning |\n|---|---|---|\n");
    for (unsigned i = 0; i < LOG_OP_COUNT_; i++) {
        static const char *const arguments[] = {"none", "optional", "required"};
        const struct log_operator_row *row = &log_operator_rows[i];

        buf_printf(out, "| `%%%.*s%%` | %s%s | %s |\n", STR_ARG(row->name),
                   arguments[row->argument], row->may_cut ? ", `:LENGTH`" : "", row->text);
    }
}
