/* Heads around form data: Content-Type of the request (RFC 9110, 8.3) and the head of each part
 * (RFC 7578, section 4; RFC 2183).
 *
 * Parsers of this grammar disagree at its rims: on `name*=` (RFC 2231, which RFC 7578 forbids), on
 * backslashes (browsers write "%22", Go writes `\"`, some servers read `\` as itself), on folded
 * lines, on a transfer encoding inside a part. A part that depends on one of these is refused,
 * since the upstream may find a model in it that we did not see. Owner: everything borrows. Pure.
 */
#include "llm/multipart_head.h"

struct head_param {
    struct str name;
    struct str value; /* between its quotes, as written */
    bool is_quoted;
};

static bool is_token_char(char c)
{
    return c > 0x20 && c < 0x7f && !memchr("()<>@,;:\\\"/[]?={}", c, 17);
}

static size_t token_bytes(struct str s)
{
    size_t n = 0;

    while (n < s.len && is_token_char(s.ptr[n]))
        n++;
    return n;
}

static void skip_space(struct str *s)
{
    while (s->len > 0 && (s->ptr[0] == ' ' || s->ptr[0] == '\t'))
        *s = str_slice(*s, 1, s->len);
}

/* Bytes up to the closing quote of a quoted string whose opening one is passed; -1: none, or an
 * escaped quote, after which parsers disagree where the string ends. */
static ssize_t quoted_bytes(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c == '"')
            return (ssize_t)i;
        if (c == '\\' && ++i < s.len && s.ptr[i] == '"')
            return -1;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return -1;
    }
    return -1;
}

/* Cuts "; name=value" off. False at the end (`*ret_name` empty) or at a fault (`*ret_is_bad`). */
static bool next_param(struct str *rest, struct head_param *ret, bool *ret_is_bad)
{
    size_t n;

    *ret = (struct head_param){0};
    skip_space(rest);
    if (rest->len == 0)
        return false;
    *ret_is_bad = true;
    if (rest->ptr[0] != ';')
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    skip_space(rest);
    if (rest->len == 0) {
        *ret_is_bad = false; /* a semicolon at the end */
        return false;
    }
    n = token_bytes(*rest);
    ret->name = str_slice(*rest, 0, n);
    if (n == 0 || n + 1 >= rest->len || rest->ptr[n] != '=')
        return false;
    *rest = str_slice(*rest, n + 1, rest->len);
    ret->is_quoted = rest->ptr[0] == '"';
    if (ret->is_quoted) {
        *rest = str_slice(*rest, 1, rest->len);
        ssize_t end = quoted_bytes(*rest);

        if (end < 0)
            return false;
        n = (size_t)end;
    } else {
        n = token_bytes(*rest);
        if (n == 0)
            return false;
    }
    ret->value = str_slice(*rest, 0, n);
    *rest = str_slice(*rest, n + (ret->is_quoted ? 1 : 0), rest->len);
    *ret_is_bad = false;
    return true;
}

/* ---- Content-Type ---- */

static bool is_boundary(struct str s)
{
    static const char others[] = "'()+_,-./:=? "; /* RFC 2046, 5.1.1, bchars */

    if (s.len == 0 || s.len > MULTIPART_BOUNDARY_MAX || s.ptr[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = str_lower_char(s.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              memchr(others, c, sizeof others - 1)))
            return false;
    }
    return true;
}

/* Some servers read names and values of the form in the charset of this header. */
static bool is_utf8(struct str charset)
{
    return str_eq_nocase(charset, STR("utf-8")) || str_eq_nocase(charset, STR("us-ascii"));
}

bool multipart_head_is_utf8(struct str content_type)
{
    ssize_t mark = str_find_char(content_type, ';', 0);
    struct head_param param;
    bool is_bad = false;

    if (mark < 0)
        return true;
    content_type = str_slice(content_type, (size_t)mark, content_type.len);
    while (next_param(&content_type, &param, &is_bad)) {
        if (str_starts_with_nocase(param.name, STR("charset")) && !is_utf8(param.value) &&
            !str_eq_nocase(param.value, STR("utf8")))
            return false;
    }
    return !is_bad;
}

int multipart_head_boundary(struct str content_type, struct str *ret_boundary)
{
    struct str type = STR("multipart/form-data");
    struct str rest = str_trim(content_type);
    struct head_param param;
    bool has_boundary = false;
    bool is_bad = false;

    *ret_boundary = STR_NULL;
    if (!str_starts_with_nocase(rest, type) ||
        (rest.len > type.len && !memchr("; \t", rest.ptr[type.len], 3)))
        return MULTIPART_NOT_FORM_DATA;
    rest = str_slice(rest, type.len, rest.len);
    while (next_param(&rest, &param, &is_bad)) {
        if (str_eq_nocase(param.name, STR("charset")) && !is_utf8(param.value))
            return MULTIPART_NOT_FORM_DATA;
        if (!str_starts_with_nocase(param.name, STR("boundary")))
            continue;
        /* "boundary*0=" would be a boundary to some. */
        if (has_boundary || param.name.len != STR("boundary").len || !is_boundary(param.value))
            return MULTIPART_BAD_BOUNDARY;
        has_boundary = true;
        *ret_boundary = param.value;
    }
    return has_boundary && !is_bad ? 0 : MULTIPART_BAD_BOUNDARY;
}

/* ---- the head of a part ---- */

struct head_facts {
    bool has_disposition;
    bool has_name;
    bool is_file;
    bool is_encoded;
    struct str name;
};

static bool read_disposition(struct str value, struct head_facts *f)
{
    struct str type = STR("form-data");
    struct head_param param;
    bool is_bad = false;

    if (f->has_disposition || !str_starts_with_nocase(value, type))
        return false;
    f->has_disposition = true;
    value = str_slice(value, type.len, value.len);
    while (next_param(&value, &param, &is_bad)) {
        if (str_starts_with_nocase(param.name, STR("filename"))) {
            f->is_file = true;
        } else if (str_eq_nocase(param.name, STR("name"))) {
            if (f->has_name || str_find_char(param.value, '\\', 0) >= 0)
                return false;
            f->has_name = true;
            f->name = param.value;
        } else if (str_starts_with_nocase(param.name, STR("name*"))) {
            return false;
        }
    }
    return f->has_name && !is_bad;
}

static bool is_plain_encoding(struct str value)
{
    return str_eq_nocase(value, STR("7bit")) || str_eq_nocase(value, STR("8bit")) ||
           str_eq_nocase(value, STR("binary"));
}

static bool read_line(struct str line, struct head_facts *f)
{
    size_t n = token_bytes(line);
    struct str name = str_slice(line, 0, n);
    struct str value;

    /* Without a name it is a folded line, or none at all. */
    if (n == 0 || n >= line.len || line.ptr[n] != ':')
        return false;
    value = str_trim(str_slice(line, n + 1, line.len));
    for (size_t i = 0; i < value.len; i++) {
        if (((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
            return false; /* a CR alone too */
    }
    if (str_eq_nocase(name, STR("content-disposition")))
        return read_disposition(value, f);
    if (str_eq_nocase(name, STR("content-transfer-encoding")) && !is_plain_encoding(value))
        f->is_encoded = true;
    return true;
}

int multipart_head_field(struct str head, enum multipart_field *ret_field)
{
    static const struct str names[MULTIPART_FIELD_COUNT] = {
        [MULTIPART_FIELD_MODEL] = STR("model"),
        [MULTIPART_FIELD_STREAM] = STR("stream"),
        [MULTIPART_FIELD_FORMAT] = STR("response_format"),
    };
    struct head_facts facts = {0};
    struct str line;

    *ret_field = MULTIPART_FIELD_OTHER;
    while (head.len > 0 && str_split(&head, '\n', &line)) {
        line.len--; /* its CR, which the reader has seen */
        if (!read_line(line, &facts))
            return MULTIPART_BAD_PART;
    }
    if (!facts.has_name)
        return MULTIPART_BAD_PART;
    for (unsigned i = MULTIPART_FIELD_MODEL; i < MULTIPART_FIELD_COUNT; i++) {
        if (str_eq(facts.name, names[i]))
            *ret_field = (enum multipart_field)i;
    }
    /* A file called "model" is no model to us, and one to whoever reads it as text. */
    if (*ret_field != MULTIPART_FIELD_OTHER && (facts.is_file || facts.is_encoded))
        return MULTIPART_BAD_PART;
    return 0;
}
