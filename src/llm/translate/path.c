/* The table of endpoints by schema, and the paths.
 *
 * OpenAI's endpoints stand below a prefix, "v1" unless the backend says otherwise (`prefix`, or
 * `version` in its older form); Azure's below a deployment, which is the model, except for
 * responses; Cohere's rerank below "v2". A prefix may be written with or without slashes at its
 * ends. AWS and Google schemas need signatures and framings of their own. Pure. */
#include "llm/translate/path.h"

/* How Azure serves an endpoint. */
enum azure_place { AZURE_NONE, AZURE_DEPLOYMENT, AZURE_TOP };

/* X(endpoint, tail below a prefix, OpenAI, Azure, its place there, Cohere, Anthropic) */
#define PLACES(X)                                                                                  \
    X(CHAT_COMPLETIONS, "chat/completions", AS_IS, AS_IS, DEPLOYMENT, NEVER, BODIES)               \
    X(COMPLETIONS, "completions", AS_IS, AS_IS, DEPLOYMENT, NEVER, NEVER)                          \
    X(EMBEDDINGS, "embeddings", AS_IS, AS_IS, DEPLOYMENT, NEVER, NEVER)                            \
    X(RESPONSES, "responses", AS_IS, AS_IS, TOP, NEVER, NEVER)                                     \
    X(IMAGES, "images/generations", AS_IS, AS_IS, DEPLOYMENT, NEVER, NEVER)                        \
    X(SPEECH, "audio/speech", AS_IS, AS_IS, DEPLOYMENT, NEVER, NEVER)                              \
    X(TRANSCRIPTIONS, "audio/transcriptions", AS_IS, AS_IS, DEPLOYMENT, NEVER, NEVER)              \
    X(TRANSLATIONS, "audio/translations", AS_IS, AS_IS, DEPLOYMENT, NEVER, NEVER)                  \
    X(RERANK, "rerank", AS_IS, NEVER, NONE, AS_IS, NEVER)                                          \
    X(COHERE_RERANK, "rerank", AS_IS, NEVER, NONE, AS_IS, NEVER)                                   \
    X(MESSAGES, "messages", BODIES, BODIES, DEPLOYMENT, NEVER, AS_IS)                              \
    X(ANTHROPIC_MESSAGES, "messages", BODIES, BODIES, DEPLOYMENT, NEVER, AS_IS)                    \
    X(MODELS, "models", AS_IS, AS_IS, TOP, AS_IS, AS_IS)

struct place {
    struct str tail;
    enum azure_place azure_place;
    enum translate_verdict openai, azure, cohere, anthropic;
};

static const struct place places[AI_ENDPOINT_COUNT_] = {
#define X(name, tail, openai, azure, place, cohere, anthropic)                                     \
    [AI_ENDPOINT_##name] = {STR(tail),         AZURE_##place,      TRANSLATE_##openai,             \
                            TRANSLATE_##azure, TRANSLATE_##cohere, TRANSLATE_##anthropic},
    PLACES(X)
#undef X
};

static bool is_kserve(enum ai_endpoint endpoint)
{
    return ai_endpoint_row(endpoint)->call != KSERVE_NONE;
}

enum translate_verdict translate_verdict(enum ai_endpoint endpoint, enum llm_schema schema)
{
    const struct place *place = &places[endpoint];

    switch (schema) {
    case LLM_SCHEMA_AWS_BEDROCK:
    case LLM_SCHEMA_GCP_VERTEX_AI:
    case LLM_SCHEMA_GCP_ANTHROPIC:
    case LLM_SCHEMA_AWS_ANTHROPIC:
        return TRANSLATE_NOT_YET;
    case LLM_SCHEMA_OPENAI:
        /* Self-hosted model servers serve both protocols under one name. */
        if (is_kserve(endpoint))
            return TRANSLATE_AS_IS;
        return place->tail.len > 0 ? place->openai : TRANSLATE_NEVER;
    case LLM_SCHEMA_AZURE_OPENAI:
        return place->tail.len > 0 ? place->azure : TRANSLATE_NEVER;
    case LLM_SCHEMA_COHERE:
        return place->tail.len > 0 ? place->cohere : TRANSLATE_NEVER;
    case LLM_SCHEMA_ANTHROPIC:
        return place->tail.len > 0 ? place->anthropic : TRANSLATE_NEVER;
    case LLM_SCHEMA_COUNT_:
        break;
    }
    return TRANSLATE_NEVER;
}

struct str translate_verdict_sentence(enum translate_verdict verdict)
{
    switch (verdict) {
    case TRANSLATE_NOT_YET:
        return STR("The backend's API schema is not supported yet.");
    case TRANSLATE_NEVER:
        return STR("The backend's API schema does not serve this endpoint.");
    case TRANSLATE_AS_IS:
    case TRANSLATE_BODIES:
        break;
    }
    return STR("");
}

/* Everything but unreserved characters (RFC 3986 2.3): a model name must not become a second path
 * element or a query. */
static struct str encode(struct str s, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_bytes(arena, 3 * s.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        unsigned char lower = (unsigned char)str_lower_char((char)c);

        if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
            c == '_' || c == '~') {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    return str_make(out, n);
}

/* A deployment of "." or ".." would climb out of its place, encoded or not. */
static bool is_path_element(struct str s)
{
    return s.len > 0 && !str_eq(s, STR(".")) && !str_eq(s, STR(".."));
}

static int azure_path(const struct place *place, const struct translate_target *target,
                      struct str model, struct arena *arena, struct str *ret_path)
{
    bool is_deployment = place->azure_place == AZURE_DEPLOYMENT;
    struct str tail = place->azure == TRANSLATE_BODIES ? STR("chat/completions") : place->tail;
    struct str version = encode(target->version, arena);

    if (version.len == 0 || (is_deployment && !is_path_element(model)))
        return TRANSLATE_PATH_BAD;
    if (is_deployment) {
        struct str name = encode(model, arena);

        *ret_path = arena_printf(arena, "/openai/deployments/%.*s/%.*s?api-version=%.*s",
                                 STR_ARG(name), STR_ARG(tail), STR_ARG(version));
    } else {
        *ret_path =
            arena_printf(arena, "/openai/%.*s?api-version=%.*s", STR_ARG(tail), STR_ARG(version));
    }
    return 0;
}

static struct str trim_slashes(struct str s)
{
    while (s.len > 0 && s.ptr[0] == '/')
        s = str_slice(s, 1, s.len);
    while (s.len > 0 && s.ptr[s.len - 1] == '/')
        s.len--;
    return s;
}

static struct str prefix_of(const struct translate_target *target)
{
    bool may_be_version = target->schema != LLM_SCHEMA_ANTHROPIC;
    struct str prefix = target->prefix;

    if (prefix.len == 0 && may_be_version)
        prefix = target->version;
    if (prefix.len == 0)
        prefix = target->schema == LLM_SCHEMA_COHERE ? STR("v2") : STR("v1");
    return trim_slashes(prefix);
}

/* Of every request: so without a format. */
static struct str join_path(struct str prefix, struct str tail, struct arena *arena)
{
    char *text = arena_bytes(arena, prefix.len + tail.len + 3);
    size_t n = 0;

    if (prefix.len > 0) {
        text[n++] = '/';
        memcpy(text + n, prefix.ptr, prefix.len);
        n += prefix.len;
    }
    text[n++] = '/';
    memcpy(text + n, tail.ptr, tail.len);
    n += tail.len;
    text[n] = '\0';
    return str_make(text, n);
}

int translate_path(enum ai_endpoint endpoint, const struct translate_target *target,
                   struct str model, struct arena *arena, struct str *ret_path)
{
    const struct place *place = &places[endpoint];
    enum translate_verdict verdict = translate_verdict(endpoint, target->schema);
    struct str tail = place->tail;

    *ret_path = STR_NULL;
    if (verdict != TRANSLATE_AS_IS && verdict != TRANSLATE_BODIES)
        return TRANSLATE_PATH_NONE;
    if (is_kserve(endpoint))
        return 0;
    if (target->schema == LLM_SCHEMA_AZURE_OPENAI)
        return azure_path(place, target, model, arena, ret_path);
    if (verdict == TRANSLATE_BODIES)
        tail = target->schema == LLM_SCHEMA_ANTHROPIC ? STR("messages") : STR("chat/completions");
    struct str prefix = prefix_of(target);

    *ret_path = join_path(prefix, tail, arena);
    return 0;
}
