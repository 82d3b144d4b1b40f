/* See source.h. */
#include "app/objects/source.h"

#include "app/objects/ask.h"
#include "app/report.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/grammar.h"

enum { SOURCE_ARENA_CHUNK = 64 * 1024 };

static int source_load(struct source *s, struct buf *ret_why)
{
    const struct options *o = s->options;
    struct manifest_options options = {.is_strict = o->server.is_strict};
    int code;

    s->manifest = MEM_NEW(struct manifest);
    code = manifest_load(s->manifest, o->paths, o->n_paths, &options);
    if (code == 0)
        code = dry_compile_run(&s->compiled, o, s->manifest);
    if (code == 0)
        return 0;
    buf_printf(ret_why, "the manifests cannot be read: ");
    if (code < 0)
        buf_printf(ret_why, "%s", error_trace());
    else
        report_first_error(&s->manifest->diags, ret_why);
    return SOURCE_FAILED;
}

int source_open(struct source *s, const struct options *o, struct buf *ret_why)
{
    *s = (struct source){.options = o};
    arena_init(&s->arena, SOURCE_ARENA_CHUNK);
    if (o->n_paths > 0)
        return source_load(s, ret_why);
    if (o->has_admin)
        return 0;
    buf_printf(ret_why, "nobody to ask: give --admin ADDR:PORT of a gateway, or -f PATH");
    return SOURCE_FAILED;
}

void source_close(struct source *s)
{
    bool is_owned = s->compiled.snapshot != NULL;

    dry_compile_deinit(&s->compiled);
    if (s->manifest && !is_owned) {
        manifest_deinit(s->manifest);
        mem_free(s->manifest);
    }
    arena_deinit(&s->arena);
    *s = (struct source){0};
}

/* Names that a gateway told may hold anything. */
static bool query_is_plain(struct str query)
{
    for (size_t i = 0; i < query.len; i++) {
        if (!grammar_is(query.ptr[i], GRAMMAR_UNRESERVED) && query.ptr[i] != '=' &&
            query.ptr[i] != '&')
            return false;
    }
    return true;
}

static int source_ask(const struct source *s, const struct object_query *q, struct buf *ret_list,
                      struct buf *ret_why)
{
    struct ask_answer answer;
    struct buf query = {0};
    int code;

    object_query_format(q, &query);
    if (!query_is_plain(buf_str(&query))) {
        buf_deinit(&query);
        buf_printf(ret_why, "the gateway tells of an object with an impossible name");
        return SOURCE_FAILED;
    }
    code = ask_admin(&s->options->admin,
                     &(struct ask_question){.path = STR("/objects"), .query = buf_str(&query)},
                     &answer, ret_why);
    buf_deinit(&query);
    if (code == 0 && answer.status == 200) {
        *ret_list = answer.body;
        return 0;
    }
    if (code == 0)
        ask_say_refusal(&answer, ret_why);
    else
        buf_printf(ret_why, "; --admin ADDR:PORT says where one does, -f PATH reads files");
    buf_deinit(&answer.body);
    return SOURCE_FAILED;
}

int source_read(struct source *s, const struct object_query *q, struct shown_vec *ret,
                struct buf *ret_why)
{
    struct buf list = {0};
    int code = 0;

    if (!s->manifest)
        code = source_ask(s, q, &list, ret_why);
    else if (object_list_format(s->manifest, NULL, q, &list) != 0) {
        buf_printf(ret_why, "more than can be shown at a time: give a kind, namespace or name");
        code = SOURCE_FAILED;
    }
    if (code == 0 && shown_read(&s->arena, buf_str(&list), ret, ret_why) != 0)
        code = SOURCE_FAILED;
    buf_deinit(&list);
    return code;
}
