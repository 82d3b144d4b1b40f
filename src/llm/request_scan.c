/* Reading request bodies by a table: which fields an endpoint has, which it cannot do without, and
 * what they may be. The types are those of the published APIs (OpenAI's and Anthropic's references,
 * Cohere's rerank, KServe's V1 and V2 protocols with the generate extension), and where model
 * servers are more lenient, the table is too: it exists so that a request which no server could
 * take is refused here with the field's name, and so that nothing is metered by a field that means
 * something else than it seems.
 *
 * All endpoints share one table of paths, so a name that matters to any of them may not be doubled
 * on another either. Owner: whoever embeds the struct. The answer's status is for the gateway. */
#include "llm/request_scan.h"

#include "base/assert.h"

#define FIELD_ROW(name, path)                                                                      \
    [REQUEST_FIELD_##name] = {path, REQUEST_FIELD_##name == REQUEST_FIELD_MODEL},
static const struct json_path field_rows[] = {REQUEST_FIELDS(FIELD_ROW)};
static struct json_paths field_paths;

__attribute__((constructor)) static void compile_fields(void)
{
    json_paths_compile(&field_paths, field_rows, N_ELEMENTS(field_rows));
    /* Who may use which model hangs on this one. */
    json_paths_guard(&field_paths, STR("model"));
}

enum {
    OBJECT = 1 << JSON_OBJECT,
    ARRAY = 1 << JSON_ARRAY,
    STRING = 1 << JSON_STRING,
    NUMBER = 1 << JSON_NUMBER,
    BOOLEAN = 1 << JSON_TRUE | 1 << JSON_FALSE,
    NOTHING = 1 << JSON_NULL,
};

struct rule {
    enum request_field field;
    bool is_required;
    unsigned types;
    int64_t min; /* of a number, which must be whole; at most MOST */
};

/* No API counts further, and products of two such numbers still fit. */
#define MOST INT32_MAX

#define MODEL_RULE                                                                                 \
    {                                                                                              \
        REQUEST_FIELD_MODEL, true, STRING, 0                                                       \
    }
#define STREAM_RULE                                                                                \
    {                                                                                              \
        REQUEST_FIELD_STREAM, false, BOOLEAN | NOTHING, 0                                          \
    }
#define STREAM_OPTION_RULES                                                                        \
    STREAM_RULE, {REQUEST_FIELD_STREAM_OPTIONS, false, OBJECT | NOTHING, 0},                       \
    {                                                                                              \
        REQUEST_FIELD_INCLUDE_USAGE, false, BOOLEAN | NOTHING, 0                                   \
    }
#define MAX_TOKENS_RULE                                                                            \
    {                                                                                              \
        REQUEST_FIELD_MAX_TOKENS, false, NUMBER | NOTHING, 0                                       \
    }
#define N_RULE                                                                                     \
    {                                                                                              \
        REQUEST_FIELD_N, false, NUMBER | NOTHING, 1                                                \
    }

static const struct rule chat_rules[] = {
    MODEL_RULE,
    {REQUEST_FIELD_MESSAGES, true, ARRAY, 0},
    STREAM_OPTION_RULES,
    MAX_TOKENS_RULE,
    {REQUEST_FIELD_MAX_COMPLETION_TOKENS, false, NUMBER | NOTHING, 0},
    N_RULE,
    {0},
};
static const struct rule completion_rules[] = {
    MODEL_RULE,
    {REQUEST_FIELD_PROMPT, true, STRING | ARRAY | NOTHING, 0}, /* null: the text's beginning */
    STREAM_OPTION_RULES,
    MAX_TOKENS_RULE,
    N_RULE,
    {0},
};
static const struct rule embedding_rules[] = {
    MODEL_RULE,
    {REQUEST_FIELD_INPUT, true, STRING | ARRAY, 0},
    {0},
};
static const struct rule response_rules[] = {
    MODEL_RULE,
    /* May be absent: a stored prompt or an earlier response stands for it. */
    {REQUEST_FIELD_INPUT, false, STRING | ARRAY | NOTHING, 0},
    {REQUEST_FIELD_PROMPT, false, OBJECT | NOTHING, 0},
    STREAM_RULE,
    {REQUEST_FIELD_MAX_OUTPUT_TOKENS, false, NUMBER | NOTHING, 0},
    {0},
};
static const struct rule image_rules[] = {
    MODEL_RULE, {REQUEST_FIELD_PROMPT, true, STRING, 0}, STREAM_RULE, N_RULE, {0},
};
static const struct rule speech_rules[] = {
    MODEL_RULE,
    {REQUEST_FIELD_INPUT, true, STRING, 0},
    {REQUEST_FIELD_VOICE, true, STRING | OBJECT, 0}, /* a name, or a custom one by its id */
    {0},
};
static const struct rule rerank_rules[] = {
    MODEL_RULE,
    {REQUEST_FIELD_QUERY, true, STRING | OBJECT, 0}, /* an object: a query with an image */
    {REQUEST_FIELD_DOCUMENTS, true, ARRAY, 0},
    {0},
};
static const struct rule message_rules[] = {
    MODEL_RULE,
    {REQUEST_FIELD_MESSAGES, true, ARRAY, 0},
    {REQUEST_FIELD_MAX_TOKENS, true, NUMBER, 0},
    STREAM_RULE,
    {0},
};
/* TensorFlow Serving's column form has "inputs" in place of "instances", of any type: a list of the
 * only input's rows, or an object of such lists by the inputs' names (its RESTful API, "column
 * format"). */
static const struct rule predict_rules[] = {
    {REQUEST_FIELD_INSTANCES, false, ARRAY, 0},
    {0},
};
static const struct rule infer_rules[] = {
    {REQUEST_FIELD_INPUTS, false, ARRAY, 0},
    {REQUEST_FIELD_LENGTH, false, NUMBER, 0},
    {0},
};
/* Triton takes parameters beside the text as well. */
static const struct rule generate_rules[] = {
    {REQUEST_FIELD_PARAMETERS, false, OBJECT | NOTHING, 0},
    {REQUEST_FIELD_PARAMETERS_MAX_TOKENS, false, NUMBER | NOTHING, 0},
    MAX_TOKENS_RULE,
    STREAM_RULE,
    {0},
};

/* Each ends in a row of field BODY. An endpoint without a body, or with a form, has none. */
static const struct rule *const rules_of[AI_ENDPOINT_COUNT_] = {
    [AI_ENDPOINT_CHAT_COMPLETIONS] = chat_rules,
    [AI_ENDPOINT_COMPLETIONS] = completion_rules,
    [AI_ENDPOINT_EMBEDDINGS] = embedding_rules,
    [AI_ENDPOINT_RESPONSES] = response_rules,
    [AI_ENDPOINT_IMAGES] = image_rules,
    [AI_ENDPOINT_SPEECH] = speech_rules,
    [AI_ENDPOINT_RERANK] = rerank_rules,
    [AI_ENDPOINT_COHERE_RERANK] = rerank_rules,
    [AI_ENDPOINT_MESSAGES] = message_rules,
    [AI_ENDPOINT_ANTHROPIC_MESSAGES] = message_rules,
    [AI_ENDPOINT_KSERVE_V1_PREDICT] = predict_rules,
    [AI_ENDPOINT_KSERVE_V1_EXPLAIN] = predict_rules,
    [AI_ENDPOINT_KSERVE_V2_INFER] = infer_rules,
    [AI_ENDPOINT_KSERVE_V2_GENERATE] = generate_rules,
    [AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM] = generate_rules,
};

static const struct {
    const char *code, *sentence;
} errors[] = {[REQUEST_OK_] = {"", ""},
#define X(name, code, sentence) [REQUEST_##name] = {code, sentence},
              REQUEST_ERRORS(X)
#undef X
};

static const struct rule *find_rule(enum ai_endpoint endpoint, enum request_field field)
{
    const struct rule *rule = rules_of[endpoint];

    for (; rule && rule->field != REQUEST_FIELD_BODY; rule++) {
        if (rule->field == field)
            return rule;
    }
    return NULL;
}

static void fail(struct request_scan *s, enum request_error error, struct str param)
{
    if (s->error != REQUEST_OK_)
        return;
    s->error = error;
    s->param = param;
}

static struct str name_of(enum request_field field)
{
    return field == REQUEST_FIELD_LENGTH ? STR("inputs.shape") : str_of(field_rows[field].path);
}

/* What the name goes into, a header and a log, takes visible ASCII; a space at either end would be
 * lost there, and two names become one. */
static bool is_model_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < 0x20 || name.ptr[i] >= 0x7f)
            return false;
    }
    return name.len > 0 && name.ptr[0] != ' ' && name.ptr[name.len - 1] != ' ';
}

static void take_model(struct request_scan *s, const struct json_hit *hit)
{
    if (hit->is_cut || hit->text.len > sizeof s->model || !is_model_name(hit->text)) {
        fail(s, REQUEST_BAD_MODEL, name_of(REQUEST_FIELD_MODEL));
        return;
    }
    memcpy(s->model, hit->text.ptr, hit->text.len);
    s->model_len = hit->text.len;
}

/* Of a tensor's dimensions only the first counts. True: this is a later one. */
static bool is_later_length(struct request_scan *s, enum request_field field)
{
    bool is_later = field == REQUEST_FIELD_LENGTH && s->is_in_shape;

    if (field == REQUEST_FIELD_LENGTH)
        s->is_in_shape = true;
    else if (field == REQUEST_FIELD_SHAPE)
        s->is_in_shape = false;
    return is_later;
}

static void on_hit(void *context, const struct json_hit *hit)
{
    struct request_scan *s = context;
    enum request_field field = (enum request_field)hit->path;
    const struct rule *rule = find_rule(s->endpoint, field);
    struct request_value *value = &s->values[field];

    /* Nothing behind an error counts, also where it came in the same piece. */
    if (s->error != REQUEST_OK_ || is_later_length(s, field))
        return;
    if (rule && !(rule->types & (1U << hit->type))) {
        fail(s, REQUEST_WRONG_TYPE, name_of(field));
        return;
    }
    if (rule && hit->type == JSON_NUMBER &&
        (!hit->is_integer || hit->integer < rule->min || hit->integer > MOST)) {
        fail(s, REQUEST_OUT_OF_RANGE, name_of(field));
        return;
    }
    *value = (struct request_value){.is_present = hit->type != JSON_NULL,
                                    .is_null = hit->type == JSON_NULL,
                                    .type = hit->type,
                                    .begin = hit->begin,
                                    .end = hit->end,
                                    .n_items = hit->n_items,
                                    .n_bytes = hit->n_bytes,
                                    .integer = hit->is_integer ? hit->integer : 0};
    if (field == REQUEST_FIELD_MODEL && rule)
        take_model(s, hit);
    if (field == REQUEST_FIELD_LENGTH)
        s->most_rows = MAX(s->most_rows, value->integer);
    if (field == REQUEST_FIELD_COLUMN && hit->type == JSON_ARRAY)
        s->longest_column = MAX(s->longest_column, hit->n_items);
}

void request_scan_init(struct request_scan *s, enum ai_endpoint endpoint)
{
    s->endpoint = endpoint;
    s->error = REQUEST_OK_;
    s->param = STR_NULL;
    s->is_in_shape = false;
    s->most_rows = 0;
    s->longest_column = 0;
    s->model_len = 0;
    memset(s->values, 0, sizeof s->values);
    json_scan_init(&s->json, &field_paths, on_hit, s);
}

static enum request_error error_of(int json_error)
{
    switch ((enum json_error)json_error) {
    case JSON_TOO_DEEP:
        return REQUEST_TOO_DEEP;
    case JSON_BAD_UTF8:
        return REQUEST_BAD_UTF8;
    case JSON_DUPLICATE_KEY:
        return REQUEST_DUPLICATE_FIELD;
    case JSON_ESCAPED_KEY:
        return REQUEST_ESCAPED_FIELD;
    case JSON_NOT_JSON:
    case JSON_TRAILING:
    case JSON_TRUNCATED:
        break;
    }
    return REQUEST_NOT_JSON;
}

int request_scan_feed(struct request_scan *s, struct str span)
{
    int r;

    if (s->error != REQUEST_OK_)
        return (int)s->error;
    r = json_scan_feed(&s->json, span);
    if (!json_scan_may_be_object(&s->json))
        fail(s, REQUEST_NOT_OBJECT, STR_NULL);
    if (r != 0)
        fail(s, error_of(r), json_scan_error_path(&s->json));
    return (int)s->error;
}

int request_scan_end(struct request_scan *s)
{
    const struct rule *rule = rules_of[s->endpoint];
    int r;

    if (s->error != REQUEST_OK_)
        return (int)s->error;
    r = json_scan_end(&s->json);
    if (r != 0)
        fail(s, error_of(r), STR_NULL);
    for (; rule && rule->field != REQUEST_FIELD_BODY; rule++) {
        const struct request_value *value = &s->values[rule->field];

        if (rule->is_required && !value->is_present && !value->is_null)
            fail(s, REQUEST_MISSING_FIELD, name_of(rule->field));
    }
    return (int)s->error;
}

bool request_scan_has_model(const struct request_scan *s)
{
    return s->error == REQUEST_OK_ && s->model_len > 0;
}

struct str request_scan_model(const struct request_scan *s)
{
    return str_make(s->model, s->model_len);
}

const struct request_value *request_scan_value(const struct request_scan *s,
                                               enum request_field field)
{
    return &s->values[field];
}

bool request_scan_is_stream(const struct request_scan *s)
{
    const struct request_value *value = &s->values[REQUEST_FIELD_STREAM];

    if (s->endpoint == AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM)
        return true;
    return value->is_present && value->type == JSON_TRUE &&
           find_rule(s->endpoint, REQUEST_FIELD_STREAM);
}

bool request_scan_has_include_usage(const struct request_scan *s)
{
    return s->values[REQUEST_FIELD_INCLUDE_USAGE].is_present &&
           s->values[REQUEST_FIELD_INCLUDE_USAGE].type == JSON_TRUE;
}

int64_t request_scan_max_tokens(const struct request_scan *s)
{
    static const enum request_field fields[] = {
        REQUEST_FIELD_MAX_TOKENS, REQUEST_FIELD_MAX_COMPLETION_TOKENS,
        REQUEST_FIELD_MAX_OUTPUT_TOKENS, REQUEST_FIELD_PARAMETERS_MAX_TOKENS};
    int64_t most = -1;

    for (size_t i = 0; i < N_ELEMENTS(fields); i++) {
        const struct request_value *value = &s->values[fields[i]];

        if (value->is_present && find_rule(s->endpoint, fields[i]))
            most = MAX(most, value->integer);
    }
    return most;
}

int64_t request_scan_n_answers(const struct request_scan *s)
{
    const struct request_value *value = &s->values[REQUEST_FIELD_N];
    bool is_known = value->is_present && find_rule(s->endpoint, REQUEST_FIELD_N);

    return is_known ? MAX(value->integer, INT64_C(1)) : 1;
}

int64_t request_scan_n_rows(const struct request_scan *s)
{
    const struct request_value *instances = &s->values[REQUEST_FIELD_INSTANCES];
    const struct request_value *inputs = &s->values[REQUEST_FIELD_INPUTS];
    uint64_t n = 0;

    if (find_rule(s->endpoint, REQUEST_FIELD_INSTANCES)) {
        n = MAX(instances->n_items, json_scan_open_items(&s->json, REQUEST_FIELD_INSTANCES));
        if (inputs->is_present && inputs->type == JSON_ARRAY)
            n = MAX(n, inputs->n_items);
        n = MAX(n, json_scan_open_items(&s->json, REQUEST_FIELD_INPUTS));
        n = MAX(n, s->longest_column);
        n = MAX(n, json_scan_open_items(&s->json, REQUEST_FIELD_COLUMN));
    } else if (find_rule(s->endpoint, REQUEST_FIELD_LENGTH)) {
        n = (uint64_t)s->most_rows;
    }
    return (int64_t)MAX(n, UINT64_C(1));
}

bool request_scan_has_all_rows(const struct request_scan *s)
{
    return find_rule(s->endpoint, REQUEST_FIELD_LENGTH) ||
           (find_rule(s->endpoint, REQUEST_FIELD_INSTANCES) && s->longest_column > 0);
}

struct str request_scan_param(const struct request_scan *s)
{
    return s->param;
}

const char *request_error_code(enum request_error error)
{
    return errors[error].code;
}

void request_scan_explain(const struct request_scan *s, struct buf *out)
{
    struct str rest = str_of(errors[s->error].sentence);
    ssize_t mark = str_find(rest, STR("%s"));

    if (mark >= 0) {
        buf_append_str(out, str_slice(rest, 0, (size_t)mark));
        buf_append_str(out, s->param);
        rest = str_slice(rest, (size_t)mark + 2, rest.len);
    }
    buf_append_str(out, rest);
}
