/* Faults of client documents. The path of a place is put together only when something is wrong
 * there. Sentences quote nothing but the document's own short words. Owner: the arena. Pure. */
#include "llm/translate/reading.h"

#include "base/assert.h"

static const char *const want_names[] = {
    [WANT_STRING] = "a string",    [WANT_NUMBER] = "a number",  [WANT_INTEGER] = "a whole number",
    [WANT_BOOL] = "true or false", [WANT_OBJECT] = "an object", [WANT_ARRAY] = "an array",
};

static struct str add_key(struct arena *arena, struct str path, const char *key)
{
    return arena_printf(arena, "%.*s%s%s", STR_ARG(path), path.len > 0 ? "." : "", key);
}

/* As deep as those who read nest, which is a handful. */
static struct str format_place(struct arena *arena, const struct place *at, const char *key)
{
    struct str path;

    if (key)
        return add_key(arena, format_place(arena, at, NULL), key);
    if (!at)
        return STR("");
    path = format_place(arena, at->up, NULL);
    return at->key ? add_key(arena, path, at->key)
                   : arena_printf(arena, "%.*s[%zu]", STR_ARG(path), at->index);
}

bool reading_fault(const struct reading *r, const struct place *at, const char *key,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    r->fault->sentence = arena_vprintf(r->arena, format, args);
    va_end(args);
    r->fault->param = format_place(r->arena, at, key);
    return false;
}

static bool has_type(const json_t *value, enum want want)
{
    switch (want) {
    case WANT_STRING:
        return json_is_string(value);
    case WANT_NUMBER:
        return json_is_number(value);
    case WANT_INTEGER:
        return json_is_integer(value);
    case WANT_BOOL:
        return json_is_boolean(value);
    case WANT_OBJECT:
        return json_is_object(value);
    case WANT_ARRAY:
        return json_is_array(value);
    }
    UNREACHABLE();
}

static bool wrong_type(const struct reading *r, const struct place *at, const char *key,
                       enum want want)
{
    struct str path = format_place(r->arena, at, key);

    return reading_fault(r, at, key, "'%.*s' must be %s.", STR_ARG(path), want_names[want]);
}

bool reading_type(const struct reading *r, const struct place *at, const json_t *value,
                  enum want want)
{
    return has_type(value, want) || wrong_type(r, at, NULL, want);
}

bool reading_get(const struct reading *r, const struct place *at, const json_t *object,
                 const char *key, enum want want, const json_t **ret_value)
{
    const json_t *value = json_object_get(object, key);

    *ret_value = NULL;
    if (!value || json_is_null(value))
        return true;
    if (!has_type(value, want))
        return wrong_type(r, at, key, want);
    *ret_value = value;
    return true;
}

bool reading_need(const struct reading *r, const struct place *at, const json_t *object,
                  const char *key, enum want want, const json_t **ret_value)
{
    if (!reading_get(r, at, object, key, want, ret_value))
        return false;
    if (*ret_value)
        return true;
    struct str path = format_place(r->arena, at, key);

    return reading_fault(r, at, key, "'%.*s' is missing; it must be %s.", STR_ARG(path),
                         want_names[want]);
}

bool reading_text(const struct reading *r, const struct place *at, const json_t *object,
                  const char *key, struct str *ret_text)
{
    const json_t *value;
    bool is_there = reading_need(r, at, object, key, WANT_STRING, &value);

    *ret_text = is_there ? document_text(value) : STR_NULL;
    return is_there;
}

bool reading_load(const struct reading *r, struct str text, json_t **ret_root)
{
    int condition = document_load(text, ret_root);
    struct str sentence = document_sentence(condition);

    return condition == 0 || reading_fault(r, NULL, NULL, "%.*s", STR_ARG(sentence));
}
