/* Findings as text (one line, then its hint and its second place), as JSON and as SARIF 2.1.0
 * (OASIS, for code-scanning tools). Text that an outsider wrote passes through an escape in every
 * form: control bytes could otherwise forge lines or drive a terminal.
 *
 * Pure; any thread. */
#include "tree/diag.h"

static void diag_append_clean(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
}

static void diag_append_place(struct buf *out, struct mark m)
{
    if (!m.file)
        return;
    diag_append_clean(out, str_of(m.file));
    if (m.line > 0)
        buf_printf(out, ":%u:%u", m.line, m.column);
    buf_append(out, ": ", 2);
}

void diag_format_text(struct buf *out, const struct diag *d)
{
    diag_append_place(out, d->mark);
    if (d->severity != DIAG_ERROR)
        buf_printf(out, "%s: ", diag_severity_text(d->severity));
    if (!str_is_empty(d->object)) {
        diag_append_clean(out, d->object);
        buf_append(out, ": ", 2);
    }
    if (!str_is_empty(d->path)) {
        diag_append_clean(out, d->path);
        buf_append(out, ": ", 2);
    }
    diag_append_clean(out, d->text);
    if (!str_is_empty(d->hint)) {
        buf_append(out, " (", 2);
        diag_append_clean(out, d->hint);
        buf_append_char(out, ')');
    }
    buf_append_char(out, '\n');
    if (d->other.file) {
        buf_append(out, "    ", 4);
        diag_append_place(out, d->other);
        buf_printf(out, "note: ");
        diag_append_clean(out, str_is_empty(d->other_text) ? STR("see here") : d->other_text);
        buf_append_char(out, '\n');
    }
}

static void diag_append_member(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, ",\"%s\":", key);
    buf_append_json(out, value);
}

static void diag_append_json_mark(struct buf *out, struct mark m)
{
    buf_printf(out, "{\"file\":");
    buf_append_json(out, str_of(m.file));
    if (m.line > 0)
        buf_printf(out, ",\"line\":%u,\"column\":%u", m.line, m.column);
    buf_append_char(out, '}');
}

static void diag_append_json_item(struct buf *out, const struct diag *d)
{
    buf_printf(out, "{\"severity\":\"%s\",\"code\":\"%s\"", diag_severity_text(d->severity),
               diag_code_text(d->code));
    if (d->mark.file) {
        buf_printf(out, ",\"place\":");
        diag_append_json_mark(out, d->mark);
    }
    if (!str_is_empty(d->object))
        diag_append_member(out, "object", d->object);
    if (!str_is_empty(d->path))
        diag_append_member(out, "path", d->path);
    diag_append_member(out, "text", d->text);
    if (!str_is_empty(d->hint))
        diag_append_member(out, "hint", d->hint);
    if (d->other.file) {
        buf_printf(out, ",\"other\":");
        diag_append_json_mark(out, d->other);
        diag_append_member(out, "otherText", d->other_text);
    }
    buf_append_char(out, '}');
}

void diag_format_json(struct buf *out, const struct diag_list *l)
{
    buf_printf(out, "{\"errors\":%zu,\"warnings\":%zu,\"notes\":%zu,\"diagnostics\":[", l->n_errors,
               l->n_warnings, l->n_notes);
    VEC_FOREACH (&l->items, d) {
        buf_printf(out, d == l->items.items ? "\n  " : ",\n  ");
        diag_append_json_item(out, d);
    }
    buf_printf(out, "\n]}\n");
}

static bool diag_is_uri_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c > 0 && strchr("-._~/", c) != NULL);
}

/* A SARIF place is a URI reference: the path percent-encoded, absolute ones as file URIs. */
static void diag_append_uri(struct buf *out, const char *file)
{
    buf_printf(out, file[0] == '/' ? "\"file://" : "\"");
    for (const char *p = file; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (diag_is_uri_char(c))
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
    buf_append_char(out, '"');
}

static void diag_append_sarif_place(struct buf *out, struct mark m, struct str text)
{
    buf_printf(out, "{\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
    diag_append_uri(out, m.file);
    buf_append_char(out, '}');
    if (m.line > 0)
        buf_printf(out, ",\"region\":{\"startLine\":%u,\"startColumn\":%u}", m.line,
                   m.column > 0 ? m.column : 1);
    buf_append_char(out, '}');
    if (!str_is_empty(text)) {
        buf_printf(out, ",\"message\":{\"text\":");
        buf_append_json(out, text);
        buf_append_char(out, '}');
    }
    buf_append_char(out, '}');
}

static void diag_append_sarif_message(struct buf *out, const struct diag *d)
{
    struct buf text AUTO(buf_deinit) = {0};

    if (!str_is_empty(d->object))
        buf_printf(&text, "%.*s: ", STR_ARG(d->object));
    if (!str_is_empty(d->path))
        buf_printf(&text, "%.*s: ", STR_ARG(d->path));
    buf_append_str(&text, d->text);
    if (!str_is_empty(d->hint))
        buf_printf(&text, " (%.*s)", STR_ARG(d->hint));
    buf_append_json(out, buf_str(&text));
}

static void diag_append_sarif_result(struct buf *out, const struct diag *d)
{
    static const char *const levels[] = {"note", "warning", "error"};

    buf_printf(out, "{\"ruleId\":\"%s\",\"level\":\"%s\",\"message\":{\"text\":",
               diag_code_text(d->code), levels[d->severity]);
    diag_append_sarif_message(out, d);
    buf_append_char(out, '}');
    if (d->mark.file) {
        buf_printf(out, ",\"locations\":[");
        diag_append_sarif_place(out, d->mark, STR_NULL);
        buf_append_char(out, ']');
    }
    if (d->other.file) {
        buf_printf(out, ",\"relatedLocations\":[");
        diag_append_sarif_place(out, d->other, d->other_text);
        buf_append_char(out, ']');
    }
    buf_append_char(out, '}');
}

static void diag_append_sarif_text(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, ",\"%s\":{\"text\":", key);
    buf_append_json(out, str_of(text));
    buf_append_char(out, '}');
}

static void diag_append_sarif_rules(struct buf *out)
{
    static const struct {
        const char *word;
        const char *text;
        const char *help;
    } rules[] = {
#define X(id, word, text, help) {word, text, help},
        DIAG_CODES(X)
#undef X
    };

    for (size_t i = 0; i < N_ELEMENTS(rules); i++) {
        buf_printf(out, "%s\n  {\"id\":\"%s\"", i > 0 ? "," : "", rules[i].word);
        diag_append_sarif_text(out, "shortDescription", rules[i].text);
        diag_append_sarif_text(out, "help", rules[i].help);
        buf_append_char(out, '}');
    }
}

void diag_format_sarif(struct buf *out, const struct diag_list *l)
{
    buf_printf(out, "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
                    "\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"tollgate\","
                    "\"version\":\"" TOLLGATE_VERSION "\",\"rules\":[");
    diag_append_sarif_rules(out);
    buf_printf(out, "\n]}},\"results\":[");
    VEC_FOREACH (&l->items, d) {
        buf_printf(out, d == l->items.items ? "\n  " : ",\n  ");
        diag_append_sarif_result(out, d);
    }
    buf_printf(out, "\n]}]}\n");
}
