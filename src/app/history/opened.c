/* See opened.h. */
#include "app/history/opened.h"

#include <errno.h>
#include <string.h>

#include "app/objects/say.h"
#include "base/error.h"
#include "base/mem.h"

static const char *opened_trouble(int code)
{
    switch (code) {
    case HISTORY_NONE:
        return "there is no history: tollgate run --state-folder PATH keeps one";
    case HISTORY_EXPOSED:
        return "others may write there, or its folder \"history\" is not of one user alone: what "
               "it says cannot be trusted";
    case HISTORY_DAMAGED:
        return "what is kept there is not what was kept";
    case -EACCES:
    case -EPERM:
        return "only the user who keeps it may read it: try as that user, or as root";
    case -ELOOP:
    case -ENOTDIR:
        return "it is no folder, or a link, which is not followed: name the folder itself";
    default:
        return error_trace();
    }
}

static bool opened_fail(const struct opened *o, int code)
{
    say_error("--state-folder %s: %s", o->options->state_folder, opened_trouble(code));
    return false;
}

bool opened_list(struct opened *o)
{
    size_t n_damaged = 0;
    int r = history_list(&o->store, &o->arena, &o->all, &n_damaged);

    if (r != 0)
        return opened_fail(o, r);
    if (n_damaged > 0)
        say_note("%zu revision%s damaged and left out", n_damaged,
                 n_damaged == 1 ? " is" : "s are");
    return true;
}

bool opened_open(struct opened *o, const struct options *options)
{
    int r;

    *o = (struct opened){.options = options,
                         .store = {.folder = -1, .blobs = -1, .records = -1, .lock = -1}};
    arena_init(&o->arena, 65536);
    if (!options->state_folder) {
        say_error("--state-folder PATH is needed: where tollgate run keeps what it served");
        return false;
    }
    r = history_open(&o->store, options->state_folder, false);
    return r == 0 ? opened_list(o) : opened_fail(o, r);
}

void opened_close(struct opened *o)
{
    history_close(&o->store);
    arena_deinit(&o->arena);
}

const struct history_revision *opened_find(const struct opened *o, const char *name)
{
    const struct history_revision *r = history_find(&o->all, str_of(name));

    if (r)
        return r;
    if (o->all.n == 0)
        say_error("no revision has been kept yet");
    else
        say_error(
            "there is no revision %s: there are %u to %u (tollgate history), latest, previous, "
            "or the first digits of an id",
            name, o->all.items[0].number, o->all.items[o->all.n - 1].number);
    return NULL;
}

static bool opened_read(struct opened *o, struct opened_revision *r)
{
    const struct history_revision *revision = r->revision;

    r->contents = ARENA_ARRAY(&o->arena, struct str, revision->files.n + 1);
    for (size_t i = 0; i < revision->files.n; i++) {
        int code = history_read(&o->store, &revision->files.items[i], &o->arena, &r->contents[i]);

        if (code == 0)
            continue;
        say_error("revision %u: %.*s: %s", revision->number, STR_ARG(revision->files.items[i].path),
                  code == HISTORY_NONE ? "its content is gone; tollgate history has others"
                                       : opened_trouble(code));
        return false;
    }
    return true;
}

bool opened_load(struct opened *o, const struct history_revision *revision,
                 struct opened_revision *ret)
{
    struct manifest_options options = {.is_strict = o->options->server.is_strict};
    struct manifest_text *texts =
        ARENA_ARRAY(&o->arena, struct manifest_text, revision->files.n + 1);
    int code;

    *ret = (struct opened_revision){.revision = revision};
    if (!opened_read(o, ret))
        return false;
    for (size_t i = 0; i < revision->files.n; i++)
        texts[i] = (struct manifest_text){arena_text(&o->arena, revision->files.items[i].path),
                                          ret->contents[i]};
    ret->manifest = MEM_NEW(struct manifest);
    code = manifest_load_texts(ret->manifest, texts, revision->files.n, &options);
    if (code == 0)
        code = dry_compile_run(&ret->compiled, o->options, ret->manifest);
    if (code < 0)
        say_error("revision %u: %s", revision->number, error_trace());
    return code >= 0;
}

void opened_unload(struct opened_revision *r)
{
    bool is_owned = r->compiled.snapshot != NULL;

    dry_compile_deinit(&r->compiled);
    if (r->manifest && !is_owned) {
        manifest_deinit(r->manifest);
        mem_free(r->manifest);
    }
    for (size_t i = 0; r->contents && i < r->revision->files.n; i++)
        mem_wipe((void *)(uintptr_t)r->contents[i].ptr, r->contents[i].len); /* Secrets */
    *r = (struct opened_revision){0};
}
