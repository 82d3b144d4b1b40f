/* See cgroup.h. */
#include "app/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/macro.h"

static bool cgroup_has_controller(struct str list, const char *controller)
{
    struct str word;

    while (str_split(&list, ',', &word)) {
        if (str_eq(word, str_of(controller)))
            return true;
    }
    return false;
}

struct str cgroup_find_path(struct str text, const char *controller, bool is_v2)
{
    struct str line, id, list;

    while (str_split(&text, '\n', &line)) {
        if (!str_split(&line, ':', &id) || !line.ptr || !str_split(&line, ':', &list) || !line.ptr)
            continue;
        if (is_v2 ? str_eq(id, STR("0")) && list.len == 0 : cgroup_has_controller(list, controller))
            return line;
    }
    return STR_NULL;
}

static struct str read_file(const char *path, char room[CGROUP_TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return STR_NULL;
    n = read(fd, room, CGROUP_TEXT_BYTES);
    close(fd);
    return n > 0 ? str_make(room, (size_t)n) : STR_NULL;
}

struct str cgroup_read(const struct cgroup_place *place, const char *file,
                       char room[CGROUP_TEXT_BYTES])
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "/sys/fs/cgroup%s%s%.*s/%s", place->is_v2 ? "" : "/",
             place->is_v2 ? "" : place->controller, STR_ARG(place->path), file);
    return read_file(path, room);
}

static uint64_t cgroup_walk(struct cgroup_place place, cgroup_limit_fn *fn, uint64_t limit)
{
    for (;;) {
        uint64_t n;

        while (place.path.len > 0 && place.path.ptr[place.path.len - 1] == '/')
            place.path.len--;
        n = fn(&place);
        limit = n > 0 ? MIN(n, limit) : limit;
        if (place.path.len == 0)
            return limit;
        while (place.path.len > 0 && place.path.ptr[place.path.len - 1] != '/')
            place.path.len--;
    }
}

uint64_t cgroup_smallest(const char *controller, cgroup_limit_fn *fn, uint64_t limit)
{
    char room[CGROUP_TEXT_BYTES];
    struct str groups = read_file("/proc/self/cgroup", room);

    for (int is_v2 = 1; is_v2 >= 0; is_v2--) {
        struct cgroup_place place = {.path = cgroup_find_path(groups, controller, is_v2),
                                     .controller = controller,
                                     .is_v2 = is_v2};

        limit = cgroup_walk(place, fn, limit);
    }
    return limit;
}
