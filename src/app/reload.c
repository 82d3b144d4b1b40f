/* See reload.h. The thread touches only its manifest and what compile shares safely: registries
 * behind their locks, and reference counts. */
#include "app/reload.h"

#include <signal.h>
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/compile/compile_api.h"

enum { RELOAD_LOGGED_ERRORS = 10 };

bool reload_may_serve(const struct manifest *m)
{
    return !m->is_refused && m->diags.n_errors <= m->n_incomplete;
}

static void *reload_main(void *arg)
{
    struct reload *r = arg;
    struct manifest_options options = {.is_strict = r->server->options.is_strict};

    pthread_setname_np(pthread_self(), "compile");
    r->manifest = MEM_NEW(struct manifest);
    r->snapshot = NULL;
    if (manifest_load(r->manifest, r->paths, r->n_paths, &options) == 0 &&
        reload_may_serve(r->manifest) &&
        compile_for_server(r->server, r->manifest, &r->snapshot) < 0)
        r->snapshot = NULL;
    wake_post(&r->done);
    return NULL;
}

static void reload_log_errors(const struct manifest *m)
{
    struct buf text = {0};
    size_t n = 0;

    for (size_t i = 0; i < m->diags.items.n && n < RELOAD_LOGGED_ERRORS; i++) {
        if (m->diags.items.items[i].severity != DIAG_ERROR)
            continue;
        buf_clear(&text);
        diag_format_text(&text, &m->diags.items.items[i]);
        log_error("%.*s", STR_ARG(buf_str(&text)));
        n++;
    }
    buf_deinit(&text);
}

static void reload_refuse(struct reload *r, const char *why)
{
    r->is_last_ok = false;
    r->server->n_reloads_failed++;
    snprintf(r->last_result, sizeof r->last_result, "kept generation %llu: %s",
             (unsigned long long)r->server->current->generation, why);
    log_error("reload refused, the old configuration goes on serving: %s", why);
    if (r->snapshot) {
        snapshot_free(r->snapshot);
    } else {
        manifest_deinit(r->manifest);
        mem_free(r->manifest);
    }
}

static void reload_accept(struct reload *r)
{
    size_t n_errors = r->snapshot->manifest->diags.n_errors;
    struct buf why = {0};
    int code = server_swap(r->server, r->snapshot, &why);

    if (code != 0) {
        buf_append_char(&why, '\0');
        reload_refuse(r, code > 0 ? why.ptr : error_trace());
        buf_deinit(&why);
        return;
    }
    r->is_last_ok = true;
    r->server->n_reloads_ok++;
    snprintf(r->last_result, sizeof r->last_result, "generation %llu serves%s",
             (unsigned long long)r->server->current->generation,
             n_errors ? ", incomplete: see the objects" : "");
    log_info("reloaded: %s", r->last_result);
}

static void reload_on_done(struct wake *w)
{
    struct reload *r = CONTAINER_OF(w, struct reload, done);
    const struct manifest *m = r->manifest;

    pthread_join(r->thread, NULL);
    r->is_running = false;
    /* What compile found counts too: a pattern or log format that is not valid. */
    if (r->snapshot && reload_may_serve(m)) {
        reload_accept(r);
    } else {
        reload_log_errors(m);
        reload_refuse(r, m->is_refused ? "a file cannot be read" : "there are errors");
    }
    r->manifest = NULL;
    r->snapshot = NULL;
    if (r->is_wanted)
        reload_start(r);
}

void reload_start(struct reload *r)
{
    sigset_t all, before;
    int code;

    r->is_wanted = r->is_running;
    if (r->is_running)
        return;
    r->is_running = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&r->thread, NULL, reload_main, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        r->is_running = false;
        log_error("reload: cannot start its thread: error %d", code);
    }
}

void reload_init(struct reload *r, struct server *server, const char *const *paths, size_t n_paths)
{
    *r = (struct reload){.server = server, .paths = paths, .n_paths = n_paths, .is_last_ok = true};
    wake_init(&r->done, server->loop, reload_on_done);
}

void reload_deinit(struct reload *r)
{
    if (!r->is_running)
        return;
    pthread_join(r->thread, NULL);
    r->is_running = false;
    if (r->snapshot) {
        snapshot_free(r->snapshot);
    } else if (r->manifest) {
        manifest_deinit(r->manifest);
        mem_free(r->manifest);
    }
}
