/* Form data as it passes.
 *
 *   PREAMBLE -> DELIMITER -> (PADDING) -> DELIMITER_LF -> HEAD -> CONTENT -> DELIMITER ...
 *                  |
 *                  +-> DASH -> CLOSE_PADDING -> CLOSE_LF -> EPILOGUE
 *
 * Delimiters are looked for from line feed to line feed (memchr), in preamble, contents and
 * epilogue alike: "\n--boundary", in front of which a CR must stand. Where none stands, or where
 * something else than white space follows, a lenient parser would see a delimiter and a strict one
 * would not: refused. RFC 2046 forbids contents that hold such a line, so no honest form has one.
 *
 * Owner: the exchange. One thread. What a condition means to the client, and when the body may go
 * upstream, is the gateway's business. */
#include "llm/multipart.h"

#include "base/assert.h"
#include "llm/multipart_head.h"

enum multipart_state {
    STATE_PREAMBLE,
    STATE_DELIMITER, /* behind "\n--boundary" */
    STATE_PADDING,
    STATE_DELIMITER_LF,
    STATE_HEAD,
    STATE_CONTENT,
    STATE_DASH, /* the second dash of the closing delimiter */
    STATE_CLOSE_PADDING,
    STATE_CLOSE_LF,
    STATE_EPILOGUE,
};

const char *multipart_condition_sentence(int condition)
{
    static const char *const sentences[] = {"",
#define X(name, field, sentence) sentence,
                                            MULTIPART_CONDITIONS(X)
#undef X
    };

    return sentences[condition];
}

const char *multipart_condition_field(int condition)
{
    static const char *const fields[] = {"",
#define X(name, field, sentence) field,
                                         MULTIPART_CONDITIONS(X)
#undef X
    };

    return fields[condition];
}

int multipart_init(struct multipart *m, struct str content_type)
{
    struct str boundary;
    int code = multipart_head_boundary(content_type, &boundary);

    /* The buffers at its end are written before they are read. */
    memset(m, 0, offsetof(struct multipart, delimiter));
    m->condition = (uint8_t)code;
    if (code != 0)
        return code;
    memcpy(m->delimiter, "\n--", 3);
    memcpy(m->delimiter + 3, boundary.ptr, boundary.len);
    m->n_delimiter = (uint8_t)(boundary.len + 3);
    /* The first delimiter may stand at the very beginning, without a line end in front of it. */
    m->state = STATE_PREAMBLE;
    m->n_matched = 1;
    m->had_cr = true;
    m->last_byte = '\n';
    return 0;
}

/* ---- values ---- */

static bool is_name(struct str s)
{
    if (s.len == 0 || s.ptr[0] == ' ' || s.ptr[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        /* As in a KServe path: the name becomes a header's value. */
        if (s.ptr[i] < 0x20 || s.ptr[i] >= 0x7f)
            return false;
    }
    return true;
}

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words; words++) {
        if (str_eq_nocase(s, str_of(*words)))
            return true;
    }
    return false;
}

/* The spellings that Python servers (pydantic) take for a bool. */
static bool read_bool(struct str s, bool *ret)
{
    static const char *const yes[] = {"true", "1", "on", "t", "y", "yes", NULL};
    static const char *const no[] = {"false", "0", "off", "f", "n", "no", NULL};

    *ret = is_one_of(s, yes);
    return *ret || is_one_of(s, no);
}

static int bad_value(const struct multipart *m)
{
    static const uint8_t conditions[] = {[MULTIPART_FIELD_MODEL] = MULTIPART_BAD_MODEL,
                                         [MULTIPART_FIELD_STREAM] = MULTIPART_BAD_STREAM,
                                         [MULTIPART_FIELD_FORMAT] = MULTIPART_BAD_FORMAT};

    return conditions[m->field];
}

static size_t value_limit(const struct multipart *m)
{
    return m->field == MULTIPART_FIELD_MODEL ? LIMIT_MODEL_NAME_BYTES
                                             : LIMIT_MULTIPART_OPTION_BYTES;
}

/* Bytes of the content; its last one may be the CR of the delimiter. */
static int value_add(struct multipart *m, struct str bytes)
{
    if (m->field == MULTIPART_FIELD_OTHER || bytes.len == 0)
        return 0;
    if (bytes.len > value_limit(m) + 1 - m->n_value)
        return bad_value(m);
    memcpy(m->value + m->n_value, bytes.ptr, bytes.len);
    m->n_value += (uint32_t)bytes.len;
    return 0;
}

static int value_end(struct multipart *m)
{
    struct str value = str_make(m->value, m->n_value - 1); /* without the CR */

    switch (m->field) {
    case MULTIPART_FIELD_MODEL:
        if (!is_name(value))
            return MULTIPART_BAD_MODEL;
        memcpy(m->model, value.ptr, value.len);
        m->n_model = (uint32_t)value.len;
        return 0;
    case MULTIPART_FIELD_STREAM:
        return read_bool(value, &m->is_stream) ? 0 : MULTIPART_BAD_STREAM;
    default:
        if (!is_name(value))
            return MULTIPART_BAD_FORMAT;
        memcpy(m->format, value.ptr, value.len);
        m->n_format = (uint32_t)value.len;
        return 0;
    }
}

/* ---- content, preamble, epilogue: up to the next delimiter ---- */

/* All of the delimiter passed. */
static int delimiter_found(struct multipart *m)
{
    int code = 0;

    if (!m->had_cr || m->state == STATE_EPILOGUE)
        return MULTIPART_BAD_DELIMITER;
    if (m->state == STATE_CONTENT && m->field != MULTIPART_FIELD_OTHER)
        code = value_end(m);
    m->n_matched = 0;
    m->state = STATE_DELIMITER;
    return code;
}

static void take(struct multipart *m, struct str *in, size_t n)
{
    m->last_byte = in->ptr[n - 1];
    m->offset += n;
    *in = (struct str){in->ptr + n, in->len - n};
}

/* Up to and with the next line feed that a delimiter may follow, or all. */
static int scan_line(struct multipart *m, struct str *in)
{
    const char *stop = in->ptr + in->len;
    const char *end = memchr(in->ptr, '\n', in->len);

    /* Through files in one go: almost no line begins with a dash. */
    while (end && m->field == MULTIPART_FIELD_OTHER && end + 1 < stop && end[1] != '-')
        end = memchr(end + 1, '\n', (size_t)(stop - end) - 1);

    size_t n = end ? (size_t)(end - in->ptr) : in->len;
    int code = value_add(m, str_make(in->ptr, n));

    if (code != 0 || !end) {
        take(m, in, n);
        return code;
    }
    m->had_cr = (n > 0 ? end[-1] : m->last_byte) == '\r';
    m->is_at_start = false;
    m->n_matched = 1;
    take(m, in, n + 1);
    return 0;
}

static int scan_delimiter(struct multipart *m, struct str *in)
{
    size_t n = 0;
    size_t n_more = MIN((size_t)(m->n_delimiter - m->n_matched), in->len);

    while (n < n_more && in->ptr[n] == m->delimiter[m->n_matched + n])
        n++;
    m->n_matched = (uint8_t)(m->n_matched + n);
    if (n > 0)
        take(m, in, n);
    if (m->n_matched == m->n_delimiter)
        return delimiter_found(m);
    if (in->len == 0)
        return 0;
    /* A line like any other. */
    n = m->n_matched;
    m->n_matched = 0;
    if (m->field == MULTIPART_FIELD_OTHER)
        return 0;
    if (!m->is_at_start)
        return bad_value(m); /* no value that we read has a second line */
    return value_add(m, str_make(m->delimiter + 1, n - 1));
}

/* ---- delimiters and heads ---- */

static int head_begin(struct multipart *m)
{
    if (++m->n_parts > LIMIT_MULTIPART_PARTS)
        return MULTIPART_TOO_MANY_PARTS;
    m->state = STATE_HEAD;
    m->n_head = 0;
    return 0;
}

static int after_delimiter(struct multipart *m, char c)
{
    m->state = STATE_PADDING;
    if (c == '-') {
        m->state = STATE_DASH;
        return 0;
    }
    if (c == '\r')
        m->state = STATE_DELIMITER_LF;
    return c == '\r' || c == ' ' || c == '\t' ? 0 : MULTIPART_BAD_DELIMITER;
}

/* One byte of the rest of a delimiter's line. */
static int delimiter_byte(struct multipart *m, char c)
{
    bool is_space = c == ' ' || c == '\t';

    switch (m->state) {
    case STATE_DELIMITER:
        return after_delimiter(m, c);
    case STATE_PADDING:
        if (c == '\r')
            m->state = STATE_DELIMITER_LF;
        return c == '\r' || is_space ? 0 : MULTIPART_BAD_DELIMITER;
    case STATE_DELIMITER_LF:
        return c == '\n' ? head_begin(m) : MULTIPART_BAD_DELIMITER;
    case STATE_DASH:
        m->state = STATE_CLOSE_PADDING;
        return c == '-' ? 0 : MULTIPART_BAD_DELIMITER;
    case STATE_CLOSE_PADDING:
        if (c == '\r')
            m->state = STATE_CLOSE_LF;
        return c == '\r' || is_space ? 0 : MULTIPART_BAD_DELIMITER;
    default: /* STATE_CLOSE_LF */
        m->state = STATE_EPILOGUE;
        m->field = MULTIPART_FIELD_OTHER;
        m->n_matched = 1;
        m->had_cr = true;
        return c == '\n' ? 0 : MULTIPART_BAD_DELIMITER;
    }
}

static int head_end(struct multipart *m)
{
    static const uint8_t duplicates[] = {[MULTIPART_FIELD_MODEL] = MULTIPART_DUPLICATE_MODEL,
                                         [MULTIPART_FIELD_STREAM] = MULTIPART_DUPLICATE_STREAM,
                                         [MULTIPART_FIELD_FORMAT] = MULTIPART_DUPLICATE_FORMAT};
    enum multipart_field field;
    int code = multipart_head_field(str_make(m->head, m->n_head - 2), &field);

    if (code != 0)
        return code;
    if (field != MULTIPART_FIELD_OTHER && m->has_field[field])
        return duplicates[field];
    m->has_field[field] = true;
    m->field = (uint8_t)field;
    m->n_value = 0;
    if (field == MULTIPART_FIELD_MODEL)
        m->model_offset = m->offset;
    m->state = STATE_CONTENT;
    /* A delimiter right here would make the empty line its own: a part without content to some
     * parsers, content to others. Without a CR it is refused. */
    m->n_matched = 1;
    m->had_cr = false;
    m->is_at_start = true;
    return 0;
}

/* Up to and with the next line feed, or all. */
static int head_line(struct multipart *m, struct str *in)
{
    const char *end = memchr(in->ptr, '\n', in->len);
    size_t n = end ? (size_t)(end - in->ptr) + 1 : in->len;

    if (n > sizeof m->head - m->n_head)
        return MULTIPART_HEAD_TOO_LARGE;
    memcpy(m->head + m->n_head, in->ptr, n);
    m->n_head += (uint32_t)n;
    take(m, in, n);
    if (!end)
        return 0;
    if (m->n_head < 2 || m->head[m->n_head - 2] != '\r')
        return MULTIPART_BAD_PART;
    if (m->n_head == 2 || (m->n_head >= 4 && m->head[m->n_head - 3] == '\n'))
        return head_end(m);
    return 0;
}

static int step(struct multipart *m, struct str *in)
{
    char c;

    switch (m->state) {
    case STATE_PREAMBLE:
    case STATE_CONTENT:
    case STATE_EPILOGUE:
        return m->n_matched > 0 ? scan_delimiter(m, in) : scan_line(m, in);
    case STATE_HEAD:
        return head_line(m, in);
    default:
        c = in->ptr[0];
        take(m, in, 1);
        return delimiter_byte(m, c);
    }
}

int multipart_feed(struct multipart *m, struct str bytes)
{
    while (m->condition == 0 && bytes.len > 0)
        m->condition = (uint8_t)step(m, &bytes);
    return m->condition;
}

int multipart_finish(struct multipart *m)
{
    if (m->condition != 0)
        return m->condition;
    if (m->state != STATE_CLOSE_PADDING && m->state != STATE_EPILOGUE)
        m->condition = MULTIPART_TRUNCATED;
    else if (m->n_model == 0)
        m->condition = MULTIPART_NO_MODEL;
    return m->condition;
}

bool multipart_has_model(const struct multipart *m)
{
    return m->n_model > 0;
}

struct str multipart_model(const struct multipart *m)
{
    return str_make(m->model, m->n_model);
}

bool multipart_is_stream(const struct multipart *m)
{
    return m->is_stream;
}

struct str multipart_format(const struct multipart *m)
{
    return str_make(m->format, m->n_format);
}

int multipart_replace_model(const struct multipart *m, struct str body, struct str model,
                            struct arena *arena, struct str *ret_body)
{
    size_t before = (size_t)m->model_offset;
    size_t after = before + m->n_model;
    char *out;

    PRE(m->condition == 0 && m->n_model > 0 && body.len == m->offset);
    if (model.len > LIMIT_MODEL_NAME_BYTES || !is_name(model))
        return MULTIPART_BAD_MODEL;
    out = arena_bytes(arena, body.len - m->n_model + model.len);
    memcpy(out, body.ptr, before);
    memcpy(out + before, model.ptr, model.len);
    memcpy(out + before + model.len, body.ptr + after, body.len - after);
    *ret_body = str_make(out, body.len - m->n_model + model.len);
    return 0;
}
