/* Editing by copying: the text goes out member by member of the top-level object, and only what is
 * named changes.
 *
 * The text was validated by a scan, so the walk below looks for nothing but the members' borders:
 * strings are skipped, brackets counted. Names are compared as they mean, escapes undone, since the
 * model server reads them so; a double of a set or removed field goes too, else the server's parser
 * might prefer it. Nothing here is kept: the caller owns text and output. */
#include "llm/body_edit.h"

#include "base/assert.h"
#include "base/mem.h"
#include "llm/json/json_skip.h"

#define USAGE_MEMBER  "\"include_usage\":true"
#define USAGE_OPTIONS "{" USAGE_MEMBER "}"

/* A member of the top-level object: where its name, its value, and the value's end stand. */
struct member {
    size_t begin, name_end, value, end;
};

struct walk {
    struct str text;
    size_t at;
};

/* ---- Borders ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct walk *w)
{
    while (w->at < w->text.len && is_space(w->text.ptr[w->at]))
        w->at++;
}

/* From a string's opening quote to behind its closing one. */
static void skip_string(struct walk *w)
{
    w->at++;
    while (w->at < w->text.len && w->text.ptr[w->at] != '"') {
        size_t n =
            json_skip->string((const unsigned char *)w->text.ptr + w->at, w->text.len - w->at);

        if (n == 0) /* one byte by itself, an escape whole */
            n = w->text.ptr[w->at] == '\\' ? 2 : 1;
        w->at += n;
    }
    w->at++;
}

static void skip_value(struct walk *w)
{
    unsigned depth = 0;

    while (w->at < w->text.len) {
        char c = w->text.ptr[w->at];

        if (c == '"') {
            skip_string(w);
            if (depth == 0)
                return;
            continue;
        }
        if (c == '}' || c == ']') {
            if (depth == 0)
                return; /* of a number or literal at the object's end */
            depth--;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || is_space(c))) {
            return;
        }
        w->at++;
        if (depth == 0 && (c == '}' || c == ']'))
            return;
    }
}

/* The next member; false at the object's end. Stands behind '{' or behind a member. */
static bool next_member(struct walk *w, struct member *ret_member)
{
    skip_space(w);
    if (w->at < w->text.len && w->text.ptr[w->at] == ',') {
        w->at++;
        skip_space(w);
    }
    if (w->at >= w->text.len || w->text.ptr[w->at] != '"')
        return false;
    ret_member->begin = w->at;
    skip_string(w);
    ret_member->name_end = w->at;
    skip_space(w);
    w->at++; /* the colon */
    skip_space(w);
    ret_member->value = w->at;
    skip_value(w);
    ret_member->end = w->at;
    ASSERT(w->at <= w->text.len);
    return true;
}

/* ---- Names ---- */

static void note_text(void *context, const struct json_hit *hit)
{
    struct buf *out = context;

    if (!hit->is_cut && !hit->has_half_pair)
        buf_append_str(out, hit->text);
    else
        buf_append_char(out, '\0'); /* no name of a field */
}

JSON_PATHS(whole_text, {"", true})

/* `raw` with its quotes. */
static bool is_name(struct str raw, struct str name)
{
    struct str inner = str_slice(raw, 1, raw.len - 1);

    if (str_find_char(inner, '\\', 0) < 0)
        return str_eq(inner, name);
    struct json_scan s;
    struct buf text = {0};

    json_scan_init(&s, &whole_text, note_text, &text);
    bool is_same = json_scan_feed(&s, raw) == 0 && str_eq(buf_str(&text), name);

    buf_deinit(&text);
    return is_same;
}

static size_t find_set(const struct body_edit *e, struct str raw)
{
    for (size_t i = 0; i < e->n_set; i++) {
        if (is_name(raw, e->set[i].name))
            return i;
    }
    return e->n_set;
}

/* A name that stands earlier in the list. */
static bool is_repeated(const struct body_edit *e, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (str_eq(e->set[k].name, e->set[i].name))
            return true;
    }
    return false;
}

static bool is_removed(const struct body_edit *e, struct str raw)
{
    for (size_t i = 0; i < e->n_remove; i++) {
        if (is_name(raw, e->remove[i]))
            return true;
    }
    return false;
}

struct body_field body_field_make(struct arena *arena, struct str name, struct str value)
{
    static const struct json_paths nothing = {.n_nodes = 1,
                                              .nodes = {{.star = JSON_NODE_NONE,
                                                         .any = JSON_NODE_NONE,
                                                         .child = JSON_NODE_NONE,
                                                         .next = JSON_NODE_NONE}}};
    struct json_scan s;
    struct buf text = {0};

    json_scan_init(&s, &nothing, NULL, NULL);
    int r = json_scan_feed(&s, value);

    if (r == 0 && json_scan_end(&s) == 0)
        return (struct body_field){name, value};
    buf_append_json(&text, value);
    char *copy = arena_bytes(arena, text.len);

    memcpy(copy, text.ptr, text.len);
    struct body_field field = {name, str_make(copy, text.len)};

    buf_deinit(&text);
    return field;
}

/* ---- Editing ---- */

struct edit {
    const struct body_edit *how;
    const struct request_scan *scan;
    struct str body;
    struct buf *out;
    size_t copied; /* bytes of the body that are out, or were left out */
};

static void copy_to(struct edit *e, size_t end)
{
    if (end > e->copied)
        buf_append_str(e->out, str_slice(e->body, e->copied, end));
    e->copied = MAX(e->copied, end);
}

static void replace(struct edit *e, uint64_t begin, uint64_t end, struct str text)
{
    copy_to(e, begin);
    buf_append_str(e->out, text);
    e->copied = end;
}

static void replace_model(struct edit *e)
{
    const struct request_value *value = request_scan_value(e->scan, REQUEST_FIELD_MODEL);

    copy_to(e, value->begin);
    buf_append_json(e->out, e->how->model);
    e->copied = value->end;
}

/* "stream_options" stands in the body. */
static void edit_options(struct edit *e)
{
    const struct request_value *options = request_scan_value(e->scan, REQUEST_FIELD_STREAM_OPTIONS);
    const struct request_value *usage = request_scan_value(e->scan, REQUEST_FIELD_INCLUDE_USAGE);

    if (options->is_null || options->type != JSON_OBJECT) { /* what the endpoint let pass */
        replace(e, options->begin, options->end, STR(USAGE_OPTIONS));
    } else if (usage->is_present || usage->is_null) {
        replace(e, usage->begin, usage->end, STR("true"));
    } else {
        replace(e, options->begin, options->begin + 1, STR("{" USAGE_MEMBER));
        if (options->n_items > 0)
            buf_append_char(e->out, ',');
    }
}

static bool stands(const struct request_scan *scan, enum request_field field)
{
    const struct request_value *value = request_scan_value(scan, field);

    return value->is_present || value->is_null;
}

static bool wants_usage(const struct edit *e)
{
    return e->how->asks_usage && !request_scan_has_include_usage(e->scan);
}

/* The two edits whose places the scan knows, as far as they lie before `end`. */
static void edit_known(struct edit *e, size_t begin, size_t end)
{
    const struct request_value *model = request_scan_value(e->scan, REQUEST_FIELD_MODEL);
    const struct request_value *options = request_scan_value(e->scan, REQUEST_FIELD_STREAM_OPTIONS);
    bool has_model = e->how->model.ptr && stands(e->scan, REQUEST_FIELD_MODEL) &&
                     model->begin >= begin && model->end <= end;
    bool has_options = wants_usage(e) && stands(e->scan, REQUEST_FIELD_STREAM_OPTIONS) &&
                       options->begin >= begin && options->end <= end;

    if (has_model && has_options && options->begin < model->begin) {
        edit_options(e);
        has_options = false;
    }
    if (has_model)
        replace_model(e);
    if (has_options)
        edit_options(e);
    copy_to(e, end);
}

/* What the first walk finds out: which fields stand in the body, and whether any member stays. */
struct survey {
    bool *is_set; /* per field to set */
    bool has_members;
};

static void append_member(struct buf *out, struct str name, struct str value, bool *is_first)
{
    if (!*is_first)
        buf_append_char(out, ',');
    *is_first = false;
    buf_append_json(out, name);
    buf_append_char(out, ':');
    buf_append_str(out, value);
}

/* New members go behind the opening brace. */
static void insert_new(struct edit *e, size_t inside, const struct survey *found)
{
    bool is_first = true;
    bool is_asked = wants_usage(e) && !stands(e->scan, REQUEST_FIELD_STREAM_OPTIONS);

    copy_to(e, inside);
    for (size_t i = 0; i < e->how->n_set; i++) {
        if (!found->is_set[i] && !is_repeated(e->how, i))
            append_member(e->out, e->how->set[i].name, e->how->set[i].value, &is_first);
        if (str_eq(e->how->set[i].name, STR("stream_options")))
            is_asked = false;
    }
    for (size_t i = 0; i < e->how->n_remove; i++) {
        if (str_eq(e->how->remove[i], STR("stream_options")))
            is_asked = false;
    }
    if (is_asked)
        append_member(e->out, STR("stream_options"), STR(USAGE_OPTIONS), &is_first);
    if (!is_first && found->has_members)
        buf_append_char(e->out, ',');
}

static void survey(const struct edit *e, size_t inside, struct survey *found)
{
    struct walk w = {e->body, inside};
    struct member m;

    while (next_member(&w, &m)) {
        struct str raw = str_slice(e->body, m.begin, m.name_end);
        size_t i = find_set(e->how, raw);

        if (i < e->how->n_set)
            found->is_set[i] = true;
        if (i < e->how->n_set || !is_removed(e->how, raw))
            found->has_members = true;
    }
}

/* A member that goes takes the comma before it along, or, while none stays before it, the one
 * behind it. */
static void edit_members(struct edit *e, size_t inside, bool *is_done)
{
    struct walk w = {e->body, inside};
    struct member m;
    bool has_kept = false;
    size_t last_end = inside;

    while (next_member(&w, &m)) {
        struct str raw = str_slice(e->body, m.begin, m.name_end);
        size_t i = find_set(e->how, raw);
        bool goes = i < e->how->n_set ? is_done[i] : is_removed(e->how, raw);

        if (goes) {
            copy_to(e, has_kept ? last_end : last_end == inside ? m.begin : e->copied);
            e->copied = m.end;
            last_end = m.end;
            continue;
        }
        if (!has_kept && last_end > inside)
            e->copied = m.begin; /* with those that went, the comma behind them */
        has_kept = true;
        last_end = m.end;
        if (i == e->how->n_set) {
            edit_known(e, m.begin, m.end);
            continue;
        }
        replace(e, m.value, m.end, e->how->set[i].value);
        is_done[i] = true;
    }
}

void body_edit_apply(const struct body_edit *edit, const struct request_scan *scan, struct str body,
                     struct buf *out)
{
    const struct request_value *top = request_scan_value(scan, REQUEST_FIELD_BODY);
    struct edit e = {edit, scan, body, out, 0};
    size_t inside = (size_t)top->begin + 1;
    bool few[16] = {false};
    struct survey found = {few, top->n_items > 0};

    PRE(scan->error == REQUEST_OK_ && top->is_present && top->end <= body.len);
    if (edit->n_set + edit->n_remove == 0) {
        insert_new(&e, inside, &found);
        edit_known(&e, inside, body.len);
        return;
    }
    if (edit->n_set > N_ELEMENTS(few))
        found.is_set = mem_alloc_zero(edit->n_set * sizeof *found.is_set);
    found.has_members = false;
    survey(&e, inside, &found);
    insert_new(&e, inside, &found);
    memset(found.is_set, 0, edit->n_set * sizeof *found.is_set);
    edit_members(&e, inside, found.is_set);
    copy_to(&e, body.len);
    if (found.is_set != few)
        mem_free(found.is_set);
}

int body_edit_model_prefix(const struct request_scan *scan, struct str held, struct str model,
                           struct buf *out)
{
    const struct request_value *value = request_scan_value(scan, REQUEST_FIELD_MODEL);

    if (!value->is_present || value->end > held.len)
        return BODY_EDIT_NOT_HELD;
    buf_append_str(out, str_slice(held, 0, value->begin));
    buf_append_json(out, model);
    buf_append_str(out, str_slice(held, value->end, held.len));
    return 0;
}
