/* Revisions in a folder: kept once, found again, let go, and never believed when they are not what
 * was kept. */
#include "app/history/store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/history/record.h"
#include "base/limits.h"
#include "test/harness/test.h"

struct scene {
    char folder[64];
    struct history h;
    struct arena a;
    struct history_revisions all;
    size_t n_damaged;
};

static void scene_open(struct scene *s)
{
    *s = (struct scene){.folder = "/tmp/history-XXXXXX"};
    CHECK(mkdtemp(s->folder) != NULL);
    arena_init(&s->a, 4096);
    CHECK_INT(history_open(&s->h, s->folder, false), HISTORY_NONE);
    CHECK_INT(history_open(&s->h, s->folder, true), 0);
}

static void scene_close(struct scene *s)
{
    char command[128];

    history_close(&s->h);
    history_close(&s->h);
    arena_deinit(&s->a);
    snprintf(command, sizeof command, "rm -r %s", s->folder);
    CHECK_INT(system(command), 0); /* NOLINT(cert-env33-c): a name of our own */
}

static int keep(struct scene *s, const char *a, const char *b, uint32_t *ret_number)
{
    struct history_content files[] = {{.path = "/etc/b.yaml", .bytes = str_of(b ? b : "")},
                                      {.path = "/etc/a.yaml", .bytes = str_of(a)}};
    struct history_facts facts = {1700000000000000, STR("start"), STR("me"), STR("why \"not\"\n")};

    return history_record(&s->h, files + (b ? 0 : 1), b ? 2 : 1, &facts, ret_number);
}

static const struct history_revision *find(struct scene *s, const char *name)
{
    CHECK_INT(history_list(&s->h, &s->a, &s->all, &s->n_damaged), 0);
    return history_find(&s->all, str_of(name));
}

static void overwrite(struct scene *s, const char *folder, struct str name, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/history/%s/%.*s", s->folder, folder, STR_ARG(name));
    f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

TEST(a_revision_is_kept_once_and_read_back)
{
    struct scene s;
    uint32_t n = 0;
    struct str bytes;

    scene_open(&s);
    CHECK(find(&s, "latest") == NULL);
    CHECK_INT(keep(&s, "one", "two", &n), 0);
    CHECK_INT(n, 1);
    CHECK_INT(keep(&s, "one", "two", &n), HISTORY_UNCHANGED);
    CHECK_INT(n, 1);
    CHECK_INT(keep(&s, "one", "three", &n), 0);
    CHECK_INT(keep(&s, "one", "two", &n), 0); /* back again is a revision of its own */
    CHECK_INT(n, 3);
    const struct history_revision *r = find(&s, "1");

    CHECK_INT(s.all.n, 3);
    CHECK_STR(r->time, "2023-11-14T22:13:20Z");
    CHECK_STR(r->cause, "start");
    CHECK_STR(r->who, "me");
    CHECK_STR(r->reason, "why \"not\"\n");
    CHECK_INT(r->files.n, 2);
    CHECK_STR(r->files.items[0].path, "/etc/a.yaml");
    CHECK_INT(history_read(&s.h, &r->files.items[0], &s.a, &bytes), 0);
    CHECK_STR(bytes, "one");
    CHECK_INT(history_read(&s.h, &r->files.items[1], &s.a, &bytes), 0);
    CHECK_STR(bytes, "two");
    scene_close(&s);
}

TEST(revisions_are_found_by_number_id_and_word)
{
    struct scene s;
    uint32_t n;
    char id[8];

    scene_open(&s);
    CHECK(keep(&s, "1", NULL, &n) == 0 && keep(&s, "2", NULL, &n) == 0 &&
          keep(&s, "1", NULL, &n) == 0);
    CHECK_INT(find(&s, "latest")->number, 3);
    CHECK_INT(find(&s, "previous")->number, 2);
    snprintf(id, sizeof id, "%.6s", find(&s, "2")->id.ptr);
    CHECK_INT(find(&s, id)->number, 2);
    snprintf(id, sizeof id, "%.6s", find(&s, "1")->id.ptr);
    CHECK_MSG(find(&s, id)->number == 3, "of equal ones the latest");
    id[3] = '\0';
    CHECK(find(&s, id) == NULL || id[0] < 'a'); /* too short to name anything but a number */
    CHECK(find(&s, "4") == NULL && find(&s, "") == NULL && find(&s, "zzzz") == NULL);
    scene_close(&s);
}

TEST(the_oldest_go_and_what_only_they_had)
{
    struct scene s;
    uint32_t n;
    char text[16];
    struct str bytes;
    struct history_file first, shared;

    scene_open(&s);
    for (int i = 0; i < LIMIT_HISTORY_REVISIONS + 5; i++) {
        snprintf(text, sizeof text, "%d", i);
        CHECK_INT(keep(&s, text, "shared", &n), 0);
        if (i == 0) {
            first = find(&s, "1")->files.items[0];
            shared = find(&s, "1")->files.items[1];
        }
    }
    CHECK_INT(n, LIMIT_HISTORY_REVISIONS + 5);
    CHECK(find(&s, "5") == NULL && find(&s, "6") != NULL);
    CHECK_INT(s.all.n, LIMIT_HISTORY_REVISIONS);
    CHECK_INT(history_read(&s.h, &first, &s.a, &bytes), HISTORY_NONE);
    CHECK_INT(history_read(&s.h, &shared, &s.a, &bytes), 0);
    scene_close(&s);
}

static size_t count(struct scene *s, const char *folder)
{
    char command[160];
    unsigned n = 0;
    FILE *f;

    snprintf(command, sizeof command, "ls -A %s/history/%s | wc -l", s->folder, folder);
    f = popen(command, "r"); /* NOLINT(cert-env33-c): a name of our own */
    CHECK(f && fscanf(f, "%u", &n) == 1 && pclose(f) == 0); /* NOLINT(cert-err34-c) */
    return n;
}

/* A disk that is full, as the process sees it: what found room must not fill it for good. */
TEST(what_had_no_room_leaves_nothing_behind)
{
    struct scene s;
    uint32_t n;
    struct rlimit before, none;

    scene_open(&s);
    CHECK_INT(keep(&s, "1", NULL, &n), 0);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){.rlim_cur = 8, .rlim_max = before.rlim_max};
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &none), 0);
    CHECK(keep(&s, "there is no room for this", "for this", &n) < 0);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_INT(count(&s, "blobs"), 1);
    CHECK_INT(count(&s, "records"), 1);
    CHECK_INT(keep(&s, "there is no room for this", "for this", &n), 0);
    CHECK_INT(n, 2);
    scene_close(&s);
}

TEST(damaged_records_and_halves_go_with_their_time)
{
    struct scene s;
    uint32_t n;
    char text[16];

    scene_open(&s);
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%d", i);
        CHECK_INT(keep(&s, text, NULL, &n), 0);
    }
    overwrite(&s, "records", STR("1"), "{");
    overwrite(&s, "records", STR(".new-9"), "{");
    CHECK(find(&s, "1") == NULL && s.n_damaged == 1);
    for (int i = 2; i < LIMIT_HISTORY_REVISIONS + 2; i++) {
        snprintf(text, sizeof text, "%d", i);
        CHECK_INT(keep(&s, text, NULL, &n), 0);
    }
    CHECK(find(&s, "3") != NULL && find(&s, "2") == NULL && s.n_damaged == 0);
    CHECK_INT(count(&s, "records"), LIMIT_HISTORY_REVISIONS);
    scene_close(&s);
}

TEST(one_at_a_time_writes_and_the_other_does_not_wait_for_ever)
{
    struct scene s;
    struct history other;

    scene_open(&s);
    CHECK_INT(history_open(&other, s.folder, false), 0);
    CHECK_INT(history_lock(&s.h, 0), 0);
    CHECK_INT(history_lock(&other, 0), HISTORY_BUSY);
    history_unlock(&s.h);
    CHECK_INT(history_lock(&other, 0), 0);
    CHECK_INT(history_lock(&s.h, 1), HISTORY_BUSY);
    history_close(&other); /* as who ends midway */
    CHECK_INT(history_lock(&s.h, 0), 0);
    scene_close(&s);
}

TEST(what_is_not_what_was_kept_is_not_given_out)
{
    static const char of_other_files[] =
        "{\"revision\":2,\"id\":\"0\",\"time\":\"\",\"cause\":\"\",\"who\":\"\",\"reason\":\"\","
        "\"files\":[]}";
    static const char *const records[] = {"", "{", "[]", "{\"revision\":2}", of_other_files};
    struct scene s;
    uint32_t n;
    struct str bytes;

    scene_open(&s);
    CHECK(keep(&s, "1", NULL, &n) == 0 && keep(&s, "2", NULL, &n) == 0);
    const struct history_file *file = &find(&s, "1")->files.items[0];

    overwrite(&s, "blobs", file->hash, "3");
    CHECK_INT(history_read(&s.h, file, &s.a, &bytes), HISTORY_DAMAGED);
    for (size_t i = 0; i < N_ELEMENTS(records); i++) {
        overwrite(&s, "records", STR("2"), records[i]);
        CHECK_MSG(find(&s, "2") == NULL, "%s", records[i]);
        CHECK_INT(s.n_damaged, 1);
    }
    CHECK_INT(keep(&s, "4", NULL, &n), 0);
    CHECK_MSG(n == 3, "its number is not given again");
    scene_close(&s);
}

/* A record that names files elsewhere would have them written by a rollback. */
TEST(a_record_names_files_in_order_and_as_they_were)
{
    struct history_revision r = {.number = 7, .time = STR("t"), .cause = STR("c")};
    struct history_revision again;
    struct buf text = {0};
    struct arena a;

    arena_init(&a, 4096);
    VEC_PUSH(&a, &r.files,
             ((struct history_file){STR("/b"), record_hash(STR("x"), &a), 1, {true, 0640, 7, 8}}));
    VEC_PUSH(&a, &r.files, ((struct history_file){STR("/c"), record_hash(STR(""), &a), 0, {0}}));
    record_identify(&r, &a);
    record_format(&r, &text);
    CHECK(record_parse(buf_str(&text), 7, &a, &again));
    CHECK(!record_parse(buf_str(&text), 8, &a, &again));
    CHECK(record_parse(buf_str(&text), 7, &a, &again));
    const struct history_rights *rights = &again.files.items[0].rights;

    CHECK(rights->is_known && rights->mode == 0640 && rights->uid == 7 && rights->gid == 8);
    CHECK(!again.files.items[1].rights.is_known);
    for (size_t i = 0; i < text.len; i++)
        CHECK(!record_parse(str_make(text.ptr, i), 7, &a, &again) || i == text.len - 1);
    r.files.items[1].path = STR("/a"); /* out of order */
    record_identify(&r, &a);
    buf_clear(&text);
    record_format(&r, &text);
    CHECK(!record_parse(buf_str(&text), 7, &a, &again));
    r.files.items[1].path = STR("c"); /* not absolute */
    record_identify(&r, &a);
    buf_clear(&text);
    record_format(&r, &text);
    CHECK(!record_parse(buf_str(&text), 7, &a, &again));
    buf_deinit(&text);
    arena_deinit(&a);
}

TEST(a_folder_that_others_may_use_is_refused)
{
    struct scene s;
    struct history other;
    char path[128];
    struct stat st;

    scene_open(&s);
    snprintf(path, sizeof path, "%s/history", s.folder);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700);
    CHECK_INT(chmod(path, 0750), 0);
    CHECK_INT(history_open(&other, s.folder, true), HISTORY_EXPOSED);
    CHECK_INT(chmod(path, 0700), 0);
    CHECK_INT(chmod(s.folder, 0755), 0); /* others may see that it is there */
    CHECK_INT(history_open(&other, s.folder, true), 0);
    history_close(&other);
    CHECK_INT(chmod(s.folder, 0777), 0); /* and put another in its place */
    CHECK_INT(history_open(&other, s.folder, true), HISTORY_EXPOSED);
    CHECK_INT(chmod(s.folder, 0700), 0);
    snprintf(path, sizeof path, "%s/history/blobs", s.folder);
    CHECK(rmdir(path) == 0 && symlink("/tmp", path) == 0);
    CHECK(history_open(&other, s.folder, true) < 0);
    CHECK_INT(history_open(&other, "/nowhere/at-all", true), HISTORY_NONE);
    scene_close(&s);
}

static bool may_parse_rights(const char *rights)
{
    struct history_revision r = {.number = 1, .time = STR("t"), .cause = STR("c")}, again;
    struct buf text = {0}, whole = {0};
    struct arena a;
    bool is_read;

    arena_init(&a, 4096);
    VEC_PUSH(&a, &r.files, ((struct history_file){STR("/a"), record_hash(STR(""), &a), 0, {0}}));
    record_identify(&r, &a);
    record_format(&r, &text);
    ssize_t at = str_find(buf_str(&text), STR("\"bytes\":0"));

    CHECK(at > 0);
    buf_append_str(&whole, str_slice(buf_str(&text), 0, (size_t)at));
    buf_printf(&whole, "%s%s", rights, *rights ? "," : "");
    buf_append_str(&whole, str_slice(buf_str(&text), (size_t)at, text.len));
    is_read = record_parse(buf_str(&whole), 1, &a, &again);
    buf_deinit(&text);
    buf_deinit(&whole);
    arena_deinit(&a);
    return is_read;
}

TEST(the_same_files_are_kept_with_the_rights_that_they_have_now)
{
    struct scene s;
    struct history_content file = {
        .path = "/etc/a.yaml", .bytes = STR("1"), .rights = {true, 0644, 1, 2}};
    struct history_facts facts = {.cause = STR("start")}, later = {.cause = STR("files changed")};
    uint32_t n;

    scene_open(&s);
    CHECK_INT(history_record(&s.h, &file, 1, &facts, &n), 0);
    file.rights.mode = 0600;
    CHECK_INT(history_record(&s.h, &file, 1, &later, &n), HISTORY_UNCHANGED);
    CHECK_INT(n, 1);
    CHECK_INT(find(&s, "1")->files.items[0].rights.mode, 0600);
    CHECK_STR(find(&s, "1")->cause, "start");
    CHECK_INT(s.all.n, 1);
    scene_close(&s);
}

TEST(rights_of_a_file_are_whole_or_not_there)
{
    static const char *const bad[] = {
        "\"mode\":\"0640\"",
        "\"uid\":0,\"gid\":0",
        "\"mode\":\"4755\",\"uid\":0,\"gid\":0",
        "\"mode\":\"0648\",\"uid\":0,\"gid\":0",
        "\"mode\":\"640\",\"uid\":0,\"gid\":0",
        "\"mode\":416,\"uid\":0,\"gid\":0",
        "\"mode\":\"0640\",\"uid\":-1,\"gid\":0",
        "\"mode\":\"0640\",\"uid\":0,\"gid\":4294967295",
        "\"mode\":\"0640\",\"uid\":\"0\",\"gid\":0",
    };

    CHECK(may_parse_rights("") && may_parse_rights("\"mode\":\"0640\",\"uid\":0,\"gid\":0"));
    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        CHECK_MSG(!may_parse_rights(bad[i]), "%s", bad[i]);
}

TEST(a_state_folder_of_a_third_user_is_refused)
{
    enum { SOMEBODY = 54321, ANOTHER };
    struct scene s;
    struct history other;

    if (geteuid() != 0)
        return; /* who is not root cannot give a folder away */
    scene_open(&s);
    CHECK(chmod(s.folder, 0755) == 0 && chown(s.folder, SOMEBODY, SOMEBODY) == 0);
    CHECK_INT(seteuid(ANOTHER), 0);
    CHECK_INT(history_open(&other, s.folder, false), HISTORY_EXPOSED);
    CHECK_INT(seteuid(0), 0);
    CHECK_INT(chown(s.folder, 0, 0), 0);
    scene_close(&s);
}

TEST(a_blob_that_is_a_link_is_not_followed)
{
    struct scene s;
    uint32_t n;
    struct str bytes;
    char path[256];

    scene_open(&s);
    CHECK_INT(keep(&s, "1", NULL, &n), 0);
    const struct history_file *file = &find(&s, "1")->files.items[0];

    snprintf(path, sizeof path, "%s/history/blobs/%.*s", s.folder, STR_ARG(file->hash));
    CHECK(unlink(path) == 0 && symlink("/etc/passwd", path) == 0);
    CHECK(history_read(&s.h, file, &s.a, &bytes) < 0);
    scene_close(&s);
}
