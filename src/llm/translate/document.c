/* Loading of documents, and the reading of answers.
 *
 * A tree costs far more than its text ("[" is one byte, the array behind it a hundred), so a pass
 * over the bytes counts depth and values before jansson sees them: the count is exact for a valid
 * document and an upper bound of what jansson builds of an invalid one. Duplicate keys are refused
 * everywhere: gateway and upstream could read different ones. Owner: the caller. Pure. */
#include "llm/translate/document.h"

#include "base/limits.h"

/* The index just behind the string whose opening quote is at `i`. */
static size_t string_end(struct str text, size_t i)
{
    for (i++; i < text.len && text.ptr[i] != '"'; i++) {
        if (text.ptr[i] == '\\')
            i++;
    }
    return i + 1;
}

static int check_shape(struct str text)
{
    size_t depth = 0;
    size_t n_values = 1;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '"') {
            i = string_end(text, i) - 1;
        } else if (c == '[' || c == '{') {
            n_values++;
            if (++depth > LIMIT_TRANSLATE_DEPTH)
                return DOCUMENT_TOO_DEEP;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',') {
            n_values++;
        }
        if (n_values > LIMIT_TRANSLATE_VALUES)
            return DOCUMENT_TOO_MANY;
    }
    return 0;
}

int document_load(struct str text, json_t **ret_root)
{
    json_t *root;
    int r;

    *ret_root = NULL;
    if (text.len > LIMIT_TRANSLATE_BYTES)
        return DOCUMENT_TOO_LARGE;
    r = check_shape(text);
    if (r != 0)
        return r;
    root = text.len > 0
               ? json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)
               : NULL;
    if (!root)
        return DOCUMENT_NOT_JSON;
    if (!json_is_object(root)) {
        json_decref(root);
        return DOCUMENT_NOT_OBJECT;
    }
    *ret_root = root;
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct str document_trim(struct str text)
{
    while (text.len > 0 && is_space(text.ptr[0]))
        text = str_slice(text, 1, text.len);
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

struct str document_sentence(int condition)
{
    switch (condition) {
    case DOCUMENT_TOO_LARGE:
        return STR("The JSON document is too large to be translated.");
    case DOCUMENT_TOO_DEEP:
        return STR("The JSON document is nested too deep.");
    case DOCUMENT_TOO_MANY:
        return STR("The JSON document has too many values to be translated.");
    case DOCUMENT_NOT_OBJECT:
        return STR("The JSON document is not an object.");
    default:
        return STR("The text is not valid JSON, or an object has a key twice.");
    }
}

struct str document_str(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value) ? document_text(value) : STR_NULL;
}

const json_t *document_object(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_object(value) ? value : NULL;
}

const json_t *document_array(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_array(value) ? value : NULL;
}

bool document_count(const json_t *object, const char *key, uint64_t *ret_count)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > LIMIT_USAGE_TOKENS)
        return false;
    *ret_count = (uint64_t)json_integer_value(value);
    return true;
}

bool document_is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}
