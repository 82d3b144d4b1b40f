/* See record.h. The record is JSON so that people and scripts can read it, too. */
#include "app/history/record.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "admin/json.h"
#include "base/assert.h"
#include "base/limits.h"

enum { HISTORY_HASH_BYTES = 32, RECORD_MODE_MAX = 0777, RECORD_MODE_DIGITS = 4 };

static struct str record_hex(const unsigned char *bytes, size_t n, struct arena *a)
{
    static const char digits[] = "0123456789abcdef";
    char *text = arena_bytes(a, 2 * n);

    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return str_make(text, 2 * n);
}

struct str record_hash(struct str bytes, struct arena *a)
{
    unsigned char hash[HISTORY_HASH_BYTES];
    bool is_made =
        EVP_Digest(bytes.len ? bytes.ptr : "", bytes.len, hash, NULL, EVP_sha256(), NULL);

    ASSERT(is_made); /* only without memory */
    return record_hex(hash, sizeof hash, a);
}

bool record_is_hash(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    }
    return text.len == HISTORY_HASH_TEXT;
}

void record_identify(struct history_revision *r, struct arena *a)
{
    struct buf all = {0};

    /* A path has no NUL in it. */
    VEC_FOREACH (&r->files, file) {
        buf_append_str(&all, file->path);
        buf_append_char(&all, '\0');
        buf_append_str(&all, file->hash);
    }
    r->id = record_hash(buf_str(&all), a);
    buf_deinit(&all);
}

/* The mode as people write it: 0640. */
static void record_format_rights(struct json *j, const struct history_rights *rights)
{
    char mode[16];

    if (!rights->is_known)
        return;
    snprintf(mode, sizeof mode, "%04o", (unsigned)(rights->mode & RECORD_MODE_MAX));
    json_str(j, "mode", str_of(mode));
    json_u64(j, "uid", rights->uid);
    json_u64(j, "gid", rights->gid);
}

void record_format(const struct history_revision *r, struct buf *out)
{
    struct json j;

    json_init(&j, out);
    json_open(&j, NULL, '{');
    json_u64(&j, "revision", r->number);
    json_str(&j, "id", r->id);
    json_str(&j, "time", r->time);
    json_str(&j, "cause", r->cause);
    json_str(&j, "who", r->who);
    json_str(&j, "reason", r->reason);
    json_open(&j, "files", '[');
    VEC_FOREACH (&r->files, file) {
        json_open(&j, NULL, '{');
        json_str(&j, "path", file->path);
        json_str(&j, "sha256", file->hash);
        json_u64(&j, "bytes", file->n_bytes);
        record_format_rights(&j, &file->rights);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    buf_append_char(out, '\n');
}

/* ---- reading ---- */

/* False: it is not there, or no text. */
static bool record_get(const json_t *object, const char *name, struct arena *a, struct str *ret)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_string(value))
        return false;
    *ret = arena_str(a, str_make(json_string_value(value), json_string_length(value)));
    return true;
}

static bool record_get_id(const json_t *object, const char *name, uint32_t *ret)
{
    const json_t *value = json_object_get(object, name);
    json_int_t n = json_integer_value(value);

    *ret = (uint32_t)n;
    return json_is_integer(value) && n >= 0 && n < UINT32_MAX; /* the last one is nobody's */
}

/* All three, or none of them. */
static bool record_get_rights(const json_t *object, struct history_rights *ret)
{
    const char *mode = json_string_value(json_object_get(object, "mode"));
    uint32_t uid, gid;

    *ret = (struct history_rights){0};
    if (!mode && !json_object_get(object, "uid") && !json_object_get(object, "gid"))
        return true;
    if (!mode || strlen(mode) != RECORD_MODE_DIGITS || !record_get_id(object, "uid", &uid) ||
        !record_get_id(object, "gid", &gid))
        return false;
    for (const char *c = mode; *c; c++) {
        if (*c < '0' || *c > '7')
            return false;
        ret->mode = ret->mode << 3 | (mode_t)(*c - '0');
    }
    ret->is_known = true;
    ret->uid = uid;
    ret->gid = gid;
    return ret->mode <= RECORD_MODE_MAX;
}

static bool record_get_file(const json_t *object, struct arena *a, struct history_revision *ret)
{
    struct history_file file = {0};
    const json_t *n = json_object_get(object, "bytes");
    const struct history_file *last = ret->files.n ? &ret->files.items[ret->files.n - 1] : NULL;

    if (!record_get(object, "path", a, &file.path) ||
        !record_get(object, "sha256", a, &file.hash) || !json_is_integer(n) ||
        json_integer_value(n) < 0 || !record_is_hash(file.hash) ||
        !record_get_rights(object, &file.rights))
        return false;
    /* Absolute, without a NUL, in order and once: else it is not what was written. */
    if (file.path.len == 0 || file.path.ptr[0] != '/' ||
        memchr(file.path.ptr, '\0', file.path.len) ||
        (last && str_compare(last->path, file.path) >= 0))
        return false;
    file.n_bytes = (uint64_t)json_integer_value(n);
    /* Only a list without room has no items, and it grows first.
     * NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    VEC_PUSH(a, &ret->files, file);
    return true;
}

static bool record_get_all(const json_t *root, uint32_t number, struct arena *a,
                           struct history_revision *ret)
{
    const json_t *files = json_object_get(root, "files");
    struct str id;

    if (json_integer_value(json_object_get(root, "revision")) != (json_int_t)number ||
        !record_get(root, "id", a, &id) || !record_get(root, "time", a, &ret->time) ||
        !record_get(root, "cause", a, &ret->cause) || !record_get(root, "who", a, &ret->who) ||
        !record_get(root, "reason", a, &ret->reason) || !json_is_array(files) ||
        json_array_size(files) > LIMIT_MANIFEST_FILES)
        return false;
    for (size_t i = 0; i < json_array_size(files); i++) {
        if (!record_get_file(json_array_get(files, i), a, ret))
            return false;
    }
    record_identify(ret, a);
    return str_eq(id, ret->id);
}

bool record_parse(struct str text, uint32_t number, struct arena *a, struct history_revision *ret)
{
    json_t *root = json_loadb(text.len > 0 ? text.ptr : "", text.len,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    bool is_read;

    *ret = (struct history_revision){.number = number};
    is_read = root && record_get_all(root, number, a, ret);
    json_decref(root);
    return is_read;
}
