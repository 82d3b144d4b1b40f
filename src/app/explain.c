/* tollgate explain: what would become of one request. Without files a running gateway is asked
 * (app/explain_running.h). With files the manifests are compiled as for
 * a start, into a server without workers, ports or logs; nothing is opened, connected or asked, so
 * that names are not resolved and remote key sets not fetched (admin/explain says where that
 * matters). */
#include "admin/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/explain_running.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "gateway/compile/compile_pass.h"

enum { EXPLAIN_READ_BYTES = 65536, EXPLAIN_USAGE = 2 };

/* What the words of the command line amount to. */
struct explain_command {
    struct question question;
    struct arena arena;
    struct buf body;
    struct buf token;
};

/* ---- words ---- */

static int explain_say(const char *what, struct str why)
{
    fprintf(stderr, "tollgate explain: %s%s%.*s\n", what, *what ? ": " : "", STR_ARG(why));
    return EXPLAIN_USAGE;
}

/* The rest of the file; false: it cannot be read, or is too large (`ret_why`). */
static bool explain_read_all(int fd, size_t limit, struct buf *out, const char **ret_why)
{
    ssize_t n;

    do {
        n = read(fd, buf_reserve(out, EXPLAIN_READ_BYTES), EXPLAIN_READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *ret_why = strerror(errno);
            return false;
        }
        out->len += (size_t)n;
        if (out->len > limit) {
            *ret_why = "it is too large";
            return false;
        }
    } while (n != 0);
    return true;
}

/* "@PATH" is the content of that file, "@-" of standard input; else the words themselves. */
static int explain_read_words(const char *option, struct str words, size_t limit, struct buf *out)
{
    const char *why = "it is too large";
    bool is_ok;
    int fd;

    if (!str_starts_with(words, STR("@"))) {
        if (words.len > limit)
            return explain_say(option, str_of(why));
        buf_append_str(out, words);
        return 0;
    }
    fd = str_eq(words, STR("@-")) ? STDIN_FILENO : open(words.ptr + 1, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return explain_say(words.ptr + 1, str_of(strerror(errno)));
    is_ok = explain_read_all(fd, limit, out, &why);
    if (fd != STDIN_FILENO)
        close(fd);
    return is_ok ? 0 : explain_say(words.ptr + 1, str_of(why));
}

static int explain_read_question(const struct options *o, struct explain_command *c)
{
    const struct explain_words *w = &o->explain;
    struct question *q = &c->question;
    struct buf why = {0};
    int r = question_read(q, w->request, &why);

    for (size_t i = 0; r == 0 && i < w->n_headers; i++)
        r = question_add_header(q, w->headers[i], &why);
    if (r == 0 && w->token.ptr)
        r = explain_read_words("--token", w->token, LIMIT_HEAD_BYTES, &c->token);
    if (r == 0 && w->token.ptr)
        r = question_add_token(q, buf_str(&c->token), &c->arena, &why);
    if (r == 0 && w->body.ptr)
        r = explain_read_words("--body", w->body, LIMIT_EXPLAIN_BODY_BYTES, &c->body);
    if (r != 0 && why.len > 0)
        explain_say("", buf_str(&why));
    buf_deinit(&why);
    q->has_body = w->body.ptr != NULL;
    q->body = buf_str(&c->body);
    q->from = w->from;
    q->is_json = o->format == CHECK_JSON;
    return r == 0 ? 0 : EXPLAIN_USAGE;
}

/* ---- a server that serves nobody ---- */

/* The snapshot that a start would serve. NULL: there is none (said). */
static struct snapshot *explain_load(const struct options *o, struct server *g)
{
    struct manifest_options manifest_options = {.is_strict = o->server.is_strict};
    struct compile_input input = {.options = &g->options,
                                  .clusters = &g->clusters,
                                  .feeds = &g->feeds,
                                  .limits = &g->limits.store};
    struct manifest *m = MEM_NEW(struct manifest);
    struct snapshot *s = NULL;
    int r = manifest_load(m, o->paths, o->n_paths, &manifest_options);

    if (r == 0)
        r = compile_pass(&input, m, &s);
    if (r > 0)
        fprintf(stderr,
                "tollgate explain: the manifests cannot be read; tollgate check says why\n");
    else if (r < 0)
        fprintf(stderr, "tollgate explain: %s\n", error_trace());
    else if (m->diags.n_errors > 0)
        fprintf(stderr,
                "tollgate explain: the manifests have %zu error%s; tollgate check says which\n",
                m->diags.n_errors, m->diags.n_errors == 1 ? "" : "s");
    if (s)
        return s;
    manifest_deinit(m);
    mem_free(m);
    return NULL;
}

static int explain_answer(struct server *g, const struct question *q)
{
    struct explain_options options = {.is_live = false};
    struct buf out = {0}, why = {0};
    int r = explain(g, &options, q, &out, &why);

    if (r < 0)
        fprintf(stderr, "tollgate explain: %s\n", error_trace());
    else if (r > 0)
        fprintf(
            stderr,
            "tollgate explain: %.*s\n"
            "Ports are those of listeners, or where --port-map FROM=TO puts them; tollgate check "
            "says which listeners cannot be opened, and why.\n",
            STR_ARG(buf_str(&why)));
    if (out.len > 0)
        fwrite(out.ptr, 1, out.len, stdout);
    buf_deinit(&out);
    buf_deinit(&why);
    return r != 0;
}

static int explain_in_server(const struct options *o, const struct question *q)
{
    struct server_options server_options = o->server;
    struct server *g = MEM_NEW(struct server);
    struct loop loop;
    int r;

    server_options.n_workers = 1; /* as many threads for slow hashes */
    if (loop_init(&loop) < 0 || server_init(g, &loop, &server_options) < 0) {
        fprintf(stderr, "tollgate explain: %s\n", error_trace());
        return 1; /* half made: left as it is, the process ends */
    }
    g->current = explain_load(o, g);
    r = g->current == NULL;
    if (g->current) {
        snapshot_publish(g->current);
        r = explain_answer(g, q);
    }
    server_deinit(g);
    loop_deinit(&loop);
    mem_free(g);
    return r;
}

int command_explain(const struct options *o)
{
    struct explain_command *c = MEM_NEW(struct explain_command);
    int r;

    log_set_level(LOG_ERROR);
    arena_init(&c->arena, 4096);
    r = explain_read_question(o, c);
    if (r == 0)
        r = o->n_paths > 0 ? explain_in_server(o, &c->question)
                           : explain_of_running(o, &c->question);
    mem_wipe(c->token.ptr, c->token.len);
    buf_deinit(&c->token);
    buf_deinit(&c->body);
    arena_deinit(&c->arena);
    mem_free(c);
    return r;
}
