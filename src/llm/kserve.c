/* Reading a KServe path, and naming another model in it.
 *
 * The model is the element behind "models"; V1 hangs its verb on it with a colon. Names may hold
 * colons themselves ("llama3:8b"), so only a known verb is cut off. Anything deeper below a model
 * still names that model (KSERVE_OTHER): a rule that denies a model must not be passed by a call
 * that we do not know. Escapes that are left in a normalized path are undone once here; what a name
 * cannot hold (control bytes, a slash, bytes past ASCII, which cannot stand in the header that
 * carries the name) refuses the request. Owner: borrowed or the caller's arena. Pure. */
#include "llm/kserve.h"

#include "base/limits.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_name_char(char c)
{
    return c > 0x20 && c < 0x7f && c != '/' && c != '\\';
}

bool kserve_is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.ptr[i]))
            return false;
    }
    return name.len > 0 && name.len <= LIMIT_MODEL_NAME_BYTES;
}

static int decode_name(struct str raw, struct arena *arena, struct str *ret_name)
{
    char *out = NULL;
    size_t n = 0;

    if (raw.len > LIMIT_MODEL_NAME_BYTES)
        return KSERVE_BAD_NAME;
    if (str_find_char(raw, '%', 0) >= 0)
        out = arena_bytes(arena, raw.len);
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];

        if (c == '%') {
            int high = i + 2 < raw.len ? hex_digit(raw.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(raw.ptr[i + 2]) : -1;

            if (low < 0)
                return KSERVE_BAD_NAME;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (!is_name_char(c))
            return KSERVE_BAD_NAME;
        if (out)
            out[n] = c;
        n++;
    }
    *ret_name = out ? str_make(out, n) : raw;
    return 0;
}

/* `raw` is part of `path`. */
static int take_model(struct str path, struct str raw, struct arena *arena,
                      struct kserve_path *ret_path)
{
    ret_path->begin = (size_t)(raw.ptr - path.ptr);
    ret_path->end = ret_path->begin + raw.len;
    return decode_name(raw, arena, &ret_path->model);
}

/* Cuts the next element off a path that begins with '/' or is empty. */
static struct str next_element(struct str *path)
{
    struct str element;

    if (path->len == 0)
        return STR("");
    *path = str_slice(*path, 1, path->len);
    ssize_t slash = str_find_char(*path, '/', 0);

    element = str_slice(*path, 0, slash < 0 ? path->len : (size_t)slash);
    *path = str_slice(*path, element.len, path->len);
    return element;
}

static bool cut_suffix(struct str *s, struct str suffix)
{
    if (s->len <= suffix.len || !str_ends_with(*s, suffix))
        return false;
    s->len -= suffix.len;
    return true;
}

static enum kserve_call parse_v1(struct str *element, struct str rest)
{
    enum kserve_call call = KSERVE_V1_MODEL;

    if (cut_suffix(element, STR(":predict")))
        call = KSERVE_V1_PREDICT;
    else if (cut_suffix(element, STR(":explain")))
        call = KSERVE_V1_EXPLAIN;
    else if (cut_suffix(element, STR(":classify")) || cut_suffix(element, STR(":regress")))
        call = KSERVE_OTHER; /* TensorFlow Serving's, with the same path shape */
    return rest.len > 0 ? KSERVE_OTHER : call;
}

static enum kserve_call parse_v2(struct str rest, struct str *ret_version)
{
    static const struct {
        struct str verb;
        enum kserve_call call;
    } verbs[] = {
        {STR("ready"), KSERVE_V2_READY},
        {STR("infer"), KSERVE_V2_INFER},
        {STR("generate"), KSERVE_V2_GENERATE},
        {STR("generate_stream"), KSERVE_V2_GENERATE_STREAM},
    };
    struct str verb;

    if (rest.len == 0)
        return KSERVE_V2_MODEL;
    verb = next_element(&rest);
    if (str_eq(verb, STR("versions"))) {
        *ret_version = next_element(&rest);
        if (ret_version->len == 0)
            return KSERVE_OTHER;
        if (rest.len == 0)
            return KSERVE_V2_MODEL;
        verb = next_element(&rest);
    }
    for (size_t i = 0; i < N_ELEMENTS(verbs) && rest.len == 0; i++) {
        if (str_eq(verb, verbs[i].verb))
            return verbs[i].call;
    }
    return KSERVE_OTHER;
}

/* "/v2/repository/models/{m}/load" and its like (the model repository extension of the V2
 * protocol): no call to a model, but one about it. */
static int parse_repository(struct str path, struct arena *arena, struct kserve_path *ret_path)
{
    struct str rest = str_slice(path, sizeof "/v2/repository/models" - 1, path.len);
    struct str element = next_element(&rest);

    if (element.len == 0)
        return 0;
    ret_path->call = KSERVE_OTHER;
    return take_model(path, element, arena, ret_path);
}

unsigned kserve_version(struct str path)
{
    static const struct str v2_folders[] = {STR("/v2/models/"), STR("/v2/health/"),
                                            STR("/v2/repository/")};
    static const struct str v1_folder = STR("/v1/models/");

    /* "/v1/models" itself is OpenAI's list. */
    if (path.len > v1_folder.len && str_starts_with(path, v1_folder))
        return 1;
    for (size_t i = 0; i < N_ELEMENTS(v2_folders); i++) {
        if (path.len > v2_folders[i].len && str_starts_with(path, v2_folders[i]))
            return 2;
    }
    return str_eq(path, STR("/v2")) ? 2 : 0;
}

int kserve_parse(struct str path, struct arena *arena, struct kserve_path *ret_path)
{
    struct str rest = path;
    bool is_v1;

    *ret_path = (struct kserve_path){0};
    if (str_starts_with(path, STR("/v2/repository/models/")))
        return parse_repository(path, arena, ret_path);
    if (!str_starts_with(path, STR("/v1/models/")) && !str_starts_with(path, STR("/v2/models/")))
        return 0;
    is_v1 = path.ptr[2] == '1';
    rest = str_slice(rest, sizeof "/v1/models" - 1, rest.len);
    struct str element = next_element(&rest);

    if (element.len == 0)
        return 0;
    ret_path->call = is_v1 ? parse_v1(&element, rest) : parse_v2(rest, &ret_path->version);
    return take_model(path, element, arena, ret_path);
}

/* ---- another model ---- */

/* What may stand in an element of a path as it is (RFC 3986 3.3), but for the colon. */
static bool is_plain(char c)
{
    static const char marks[] = "-._~@!$&'()*+,;=";

    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(marks, c));
}

/* V1 hangs its verb on the name with a colon. Names hold colons themselves, and servers that
 * compare the path as it is spelt know them by it: only where a name's own end would be read as a
 * verb are its colons encoded. */
static bool has_verb(struct str model)
{
    return parse_v1(&model, STR("")) != KSERVE_V1_MODEL;
}

int kserve_replace_model(struct str path, const struct kserve_path *parsed, struct str model,
                         struct arena *arena, struct str *ret_path)
{
    static const char digits[] = "0123456789ABCDEF";
    struct str tail = str_slice(path, parsed->end, path.len);
    bool keeps_colon = !has_verb(model);
    size_t n = parsed->begin;
    char *out;

    /* However they are spelt, those two are no names but steps (RFC 3986 5.2.4). */
    if (model.len == 0 || str_eq(model, STR(".")) || str_eq(model, STR("..")))
        return KSERVE_BAD_NAME;
    out = arena_bytes(arena, n + 3 * model.len + tail.len);
    memcpy(out, path.ptr, n);
    for (size_t i = 0; i < model.len; i++) {
        unsigned char c = (unsigned char)model.ptr[i];

        if (is_plain((char)c) || (c == ':' && keeps_colon)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    if (tail.len > 0)
        memcpy(out + n, tail.ptr, tail.len);
    *ret_path = str_make(out, n + tail.len);
    return 0;
}
