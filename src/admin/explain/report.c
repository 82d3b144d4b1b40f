/* See report.h. */
#include "admin/explain/report.h"

#include <stdio.h>

#include "base/assert.h"

enum { REPORT_INDENT = 2, REPORT_TIME_BYTES = 32 };

void report_init(struct report *r, struct buf *out, bool is_json)
{
    *r = (struct report){.out = out, .is_json = is_json};
    json_init(&r->json, out);
    if (is_json)
        json_open(&r->json, NULL, '{');
}

void report_finish(struct report *r)
{
    if (!r->is_json)
        return;
    json_close(&r->json, '}');
    buf_append_char(r->out, '\n');
}

/* ---- text ---- */

static void report_clean(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c >= ' ' && c < 0x7f)
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "\\x%02x", c);
    }
}

static void report_name(struct report *r, struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        buf_append_char(r->out, name.ptr[i] == '_' ? ' ' : name.ptr[i]);
}

static void report_indent(struct report *r)
{
    for (unsigned i = 0; i < r->level * REPORT_INDENT; i++)
        buf_append_char(r->out, ' ');
}

/* The line, or the part of a row's line, that a member is. */
static void report_named(struct report *r, struct str name, struct str value)
{
    if (r->is_in_row)
        buf_printf(r->out, "; ");
    else
        report_indent(r);
    report_name(r, name);
    buf_printf(r->out, r->is_in_row ? " " : ": ");
    report_clean(r->out, value);
    if (!r->is_in_row)
        buf_append_char(r->out, '\n');
}

static void report_member(struct report *r, const char *name, struct str value)
{
    report_named(r, str_of(name), value);
}

static struct str report_place(const struct mark *at, struct buf *room)
{
    if (!at || !at->file)
        return STR("");
    buf_printf(room, "%s", at->file);
    if (at->line > 0)
        buf_printf(room, ":%u", at->line);
    return buf_str(room);
}

/* ---- parts ---- */

static void report_begin(struct report *r, const char *name)
{
    ASSERT(!r->is_in_row);
    report_indent(r);
    report_name(r, str_of(name));
    buf_append_char(r->out, ':');
    r->level++;
}

void report_open(struct report *r, const char *name)
{
    if (r->is_json) {
        json_open(&r->json, name, '{');
        return;
    }
    report_begin(r, name);
    buf_append_char(r->out, '\n');
}

void report_close(struct report *r)
{
    if (r->is_json)
        json_close(&r->json, '}');
    else
        r->level--;
}

void report_list(struct report *r, const char *name)
{
    if (r->is_json) {
        json_open(&r->json, name, '[');
        return;
    }
    report_begin(r, name);
    r->is_list_bare = true;
}

void report_list_close(struct report *r)
{
    if (r->is_json) {
        json_close(&r->json, ']');
        return;
    }
    if (r->is_list_bare)
        buf_printf(r->out, " none\n");
    r->is_list_bare = false;
    r->level--;
}

static void report_row_text(struct report *r, struct str name, struct str place,
                            const char *verdict, struct str why)
{
    if (r->is_list_bare)
        buf_append_char(r->out, '\n');
    r->is_list_bare = false;
    report_indent(r);
    buf_printf(r->out, "- ");
    report_clean(r->out, name);
    if (place.len > 0) {
        buf_printf(r->out, " (");
        report_clean(r->out, place);
        buf_append_char(r->out, ')');
    }
    if (verdict && *verdict)
        buf_printf(r->out, ": %s", verdict);
    if (why.len > 0) {
        buf_printf(r->out, ": ");
        report_clean(r->out, why);
    }
    r->is_in_row = true;
}

void report_row(struct report *r, struct str name, const struct mark *at, const char *verdict,
                struct str why)
{
    struct buf room = {0};
    struct str place = report_place(at, &room);

    if (r->is_json) {
        json_open(&r->json, NULL, '{');
        json_str(&r->json, "name", name);
        if (place.len > 0)
            json_str(&r->json, "at", place);
        if (verdict && *verdict)
            json_text(&r->json, "verdict", verdict);
        if (why.len > 0)
            json_str(&r->json, "why", why);
    } else {
        report_row_text(r, name, place, verdict, why);
    }
    buf_deinit(&room);
}

void report_pair(struct report *r, struct str name, struct str value)
{
    if (r->is_json) {
        json_open(&r->json, NULL, '{');
        json_str(&r->json, "name", name);
        json_str(&r->json, "value", value);
    } else {
        report_row_text(r, name, STR(""), NULL, value);
    }
}

void report_row_end(struct report *r)
{
    if (r->is_json) {
        json_close(&r->json, '}');
        return;
    }
    buf_append_char(r->out, '\n');
    r->is_in_row = false;
}

/* ---- members ---- */

void report_str(struct report *r, const char *name, struct str value)
{
    if (r->is_json)
        json_str(&r->json, name, value);
    else
        report_member(r, name, value);
}

void report_text(struct report *r, const char *name, const char *value)
{
    report_str(r, name, str_of(value));
}

void report_u64(struct report *r, const char *name, uint64_t value)
{
    struct buf digits = {0};

    if (r->is_json) {
        json_u64(&r->json, name, value);
        return;
    }
    buf_append_u64(&digits, value);
    report_member(r, name, buf_str(&digits));
    buf_deinit(&digits);
}

void report_seconds(struct report *r, const char *name, uint64_t value)
{
    struct str words = str_of(name);
    struct buf text = {0};

    ASSERT(str_ends_with(words, STR("_s")));
    if (r->is_json) {
        json_u64(&r->json, name, value);
        return;
    }
    buf_append_u64(&text, value);
    buf_append_char(&text, 's');
    report_named(r, str_slice(words, 0, words.len - 2), buf_str(&text));
    buf_deinit(&text);
}

void report_bool(struct report *r, const char *name, bool value)
{
    if (r->is_json)
        json_bool(&r->json, name, value);
    else
        report_member(r, name, value ? STR("yes") : STR("no"));
}

void report_mark(struct report *r, const char *name, const struct mark *at)
{
    struct buf room = {0};
    struct str place = report_place(at, &room);

    if (place.len > 0)
        report_str(r, name, place);
    buf_deinit(&room);
}

void report_time(struct report *r, const char *name, uint64_t us)
{
    char text[REPORT_TIME_BYTES];

    if (us == 0 || us == UINT64_MAX)
        return;
    if (us % 1000000 == 0)
        snprintf(text, sizeof text, "%llus", (unsigned long long)(us / 1000000));
    else
        snprintf(text, sizeof text, "%llums", (unsigned long long)(us / 1000));
    report_text(r, name, text);
}
