/* Watching real files in a folder of the test's own. Silence is proved by a later change: one
 * callback for the later one only. */
#include "net/watch.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/stream_testing.h"
#include "test/harness/test.h"

static char root[] = "/tmp/tollgate-watch-XXXXXX";
static int n_changes;

static const char *in_root(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", root, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_root(name), "w");

    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK(fclose(file) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void on_change(struct watch *w)
{
    (void)w;
    n_changes++;
}

struct scene {
    struct loop loop;
    struct watch watch;
    const char *paths[2];
    char text[2][PATH_MAX];
};

static void scene_make_root(void)
{
    CHECK(mkdtemp(root) != NULL);
}

static void scene_open(struct scene *s, const char *first, const char *second)
{
    const char *names[2] = {first, second};

    for (int i = 0; i < 2 && names[i]; i++) {
        snprintf(s->text[i], PATH_MAX, "%s/%s", root, names[i]);
        s->paths[i] = s->text[i];
    }
    CHECK(loop_init(&s->loop) == 0);
    CHECK(watch_open(&s->watch, &s->loop, s->paths, second ? 2 : 1, on_change) == 0);
}

static void scene_close(struct scene *s)
{
    watch_close(&s->watch);
    watch_close(&s->watch);
    loop_deinit(&s->loop);
    CHECK(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

/* Exactly one callback comes for what was just done. */
#define CHECK_TOLD_ONCE(s)                                                                         \
    do {                                                                                           \
        n_changes = 0;                                                                             \
        TEST_TURN_UNTIL(&(s)->loop, n_changes > 0);                                                \
        CHECK_INT(n_changes, 1);                                                                   \
    } while (0)

/* Nothing of what was just done armed the timer: its events are there without waiting. */
#define CHECK_NOT_TOLD(s)                                                                          \
    do {                                                                                           \
        CHECK(loop_turn(&(s)->loop, 0) == 0);                                                      \
        CHECK(!timer_is_set(&(s)->watch.timer));                                                   \
    } while (0)

TEST(a_burst_of_changes_in_a_folder_is_told_once)
{
    struct scene s = {0};

    scene_make_root();
    scene_open(&s, ".", NULL);
    write_file("a.yaml", "a");
    write_file("b.yaml", "b");
    CHECK(unlink(in_root("a.yaml")) == 0);
    CHECK_TOLD_ONCE(&s);
    write_file("b.yaml", "c");
    CHECK_TOLD_ONCE(&s);
    CHECK(rename(in_root("b.yaml"), in_root("c.yaml")) == 0);
    CHECK_TOLD_ONCE(&s);
    write_file(".c.yaml.swp", "hidden");
    CHECK_NOT_TOLD(&s);
    scene_close(&s);
}

TEST(folders_below_count_also_new_ones)
{
    struct scene s = {0};

    scene_make_root();
    CHECK(mkdir(in_root("old"), 0700) == 0);
    scene_open(&s, ".", NULL);
    write_file("old/a.yaml", "a");
    CHECK_TOLD_ONCE(&s);
    CHECK(mkdir(in_root("new"), 0700) == 0);
    CHECK_TOLD_ONCE(&s);
    write_file("new/a.yaml", "a");
    CHECK_TOLD_ONCE(&s);
    scene_close(&s);
}

TEST(a_single_file_is_told_when_it_is_written_replaced_removed_and_made_readable)
{
    struct scene s = {0};

    scene_make_root();
    write_file("a.yaml", "a");
    scene_open(&s, "a.yaml", NULL);
    write_file("a.yaml", "b");
    CHECK_TOLD_ONCE(&s);
    write_file("stranger", "x");
    CHECK_NOT_TOLD(&s);
    CHECK(rename(in_root("stranger"), in_root("a.yaml")) == 0);
    CHECK_TOLD_ONCE(&s);
    CHECK(chmod(in_root("a.yaml"), 0400) == 0);
    CHECK_TOLD_ONCE(&s);
    CHECK(unlink(in_root("a.yaml")) == 0);
    CHECK_TOLD_ONCE(&s);
    write_file("a.yaml", "again");
    CHECK_TOLD_ONCE(&s);
    scene_close(&s);
}

TEST(a_mounted_config_map_is_told_when_its_data_link_is_swapped)
{
    static const char *const watched[] = {".", "a.yaml"}; /* the folder, or one file in it */

    for (size_t i = 0; i < N_ELEMENTS(watched); i++) {
        struct scene s = {0};

        strcpy(root, "/tmp/tollgate-watch-XXXXXX");
        scene_make_root();
        CHECK(mkdir(in_root("..2026_1"), 0700) == 0 && mkdir(in_root("..2026_2"), 0700) == 0);
        write_file("..2026_1/a.yaml", "1");
        write_file("..2026_2/a.yaml", "2");
        CHECK(symlink("..2026_1", in_root("..data")) == 0);
        CHECK(symlink("..data/a.yaml", in_root("a.yaml")) == 0);
        scene_open(&s, watched[i], NULL);
        CHECK(symlink("..2026_2", in_root("..data_tmp")) == 0);
        CHECK(rename(in_root("..data_tmp"), in_root("..data")) == 0);
        CHECK_TOLD_ONCE(&s);
        scene_close(&s);
    }
}

TEST(a_folder_behind_a_link_and_a_folder_that_comes_later_are_found)
{
    struct scene s = {0};

    scene_make_root();
    CHECK(mkdir(in_root("one"), 0700) == 0 && mkdir(in_root("two"), 0700) == 0);
    CHECK(symlink("one", in_root("current")) == 0);
    scene_open(&s, "current", "later");
    CHECK(symlink("two", in_root("next")) == 0);
    CHECK_NOT_TOLD(&s);
    CHECK(rename(in_root("next"), in_root("current")) == 0);
    CHECK_TOLD_ONCE(&s);
    write_file("two/a.yaml", "a");
    CHECK_TOLD_ONCE(&s);
    CHECK(mkdir(in_root("later"), 0700) == 0);
    CHECK_TOLD_ONCE(&s);
    write_file("later/a.yaml", "a");
    CHECK_TOLD_ONCE(&s);
    scene_close(&s);
}

TEST(a_path_whose_folder_is_not_there_either_is_looked_for)
{
    struct scene s = {0};

    scene_make_root();
    scene_open(&s, "far/away", NULL);
    CHECK_INT(s.watch.n_lost, 1);
    CHECK(timer_is_set(&s.watch.retry));
    CHECK(mkdir(in_root("far"), 0700) == 0 && mkdir(in_root("far/away"), 0700) == 0);
    CHECK_NOT_TOLD(&s);
    timer_set(&s.loop, &s.watch.retry, s.loop.now.mono_us); /* rather than waiting for it */
    CHECK_TOLD_ONCE(&s);
    CHECK_INT(s.watch.n_lost, 0);
    CHECK(!timer_is_set(&s.watch.retry));
    write_file("far/away/a.yaml", "a");
    CHECK_TOLD_ONCE(&s);
    CHECK(unlink(in_root("far/away/a.yaml")) == 0);
    CHECK(rmdir(in_root("far/away")) == 0 && rmdir(in_root("far")) == 0);
    CHECK_TOLD_ONCE(&s);
    CHECK_INT(s.watch.n_lost, 1);
    scene_close(&s);
}

TEST(changes_without_end_are_told_all_the_same)
{
    struct scene s = {0};
    uint64_t started_us, last_us;
    bool was_quiet = false; /* for as long as ends a burst: the machine had no time for this test */

    scene_make_root();
    scene_open(&s, ".", NULL);
    started_us = last_us = s.loop.now.mono_us;
    while (n_changes == 0) {
        write_file("a.yaml", "a");
        CHECK(loop_turn(&s.loop, 0) == 0);
        was_quiet |= s.loop.now.mono_us - last_us >= WATCH_QUIET_US - 10000;
        last_us = s.loop.now.mono_us;
    }
    CHECK(was_quiet || s.loop.now.mono_us - started_us >= WATCH_BURST_US - 1000);
    scene_close(&s);
}
