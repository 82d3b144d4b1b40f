/* See reload.h. The thread touches only its manifest and what compile shares safely: registries
 * behind their locks, and reference counts. */
#include "app/reload.h"

#include <signal.h>
#include <stdio.h>

#include "app/report.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/compile/compile_api.h"

enum { RELOAD_LOGGED_ERRORS = 10 };

bool reload_may_serve(const struct manifest *m)
{
    size_t n_forgiven = m->options.is_strict ? 0 : m->n_incomplete;

    return !m->is_refused && m->diags.n_errors <= n_forgiven;
}

static void *reload_main(void *arg)
{
    struct reload *r = arg;
    struct manifest_options options = {.is_strict = r->server->options.is_strict,
                                       .keep = r->kept ? kept_note : NULL,
                                       .keep_ctx = r->kept};
    int code;

    pthread_setname_np(pthread_self(), "compile");
    r->manifest = MEM_NEW(struct manifest);
    r->snapshot = NULL;
    r->fault[0] = '\0';
    keeper_begin_reading(r->keeper);
    code = manifest_load(r->manifest, r->paths, r->n_paths, &options);
    keeper_end_reading(r->keeper);
    if (code == 0 && reload_may_serve(r->manifest))
        code = compile_for_server(r->server, r->manifest, &r->snapshot);
    if (code < 0) {
        r->snapshot = NULL;
        /* The trace is this thread's own. */
        snprintf(r->fault, sizeof r->fault, "%s", error_trace());
    }
    wake_post(&r->done);
    return NULL;
}

/* What the thread left, when it does not serve. */
static void reload_discard(struct reload *r)
{
    if (r->snapshot) {
        snapshot_free(r->snapshot);
    } else if (r->manifest) {
        manifest_deinit(r->manifest);
        mem_free(r->manifest);
    }
    r->snapshot = NULL;
    r->manifest = NULL;
    kept_free(TAKE(r->kept));
}

static void reload_refuse(struct reload *r, const char *why)
{
    r->server->has_refused_reload = true;
    r->server->n_reloads_failed++;
    snprintf(r->last_result, sizeof r->last_result, "kept generation %llu: %s",
             (unsigned long long)r->server->current->generation, why);
    log_error("reload refused, the old configuration goes on serving: %s", why);
    reload_discard(r);
}

/* The files do not serve: every error goes to the log, the first one to status. */
static void reload_refuse_files(struct reload *r)
{
    const struct diag_list *diags = &r->manifest->diags;
    struct buf why = {0};

    report_findings(diags, DIAG_ERROR, RELOAD_LOGGED_ERRORS);
    if (diags->n_errors > 0)
        buf_printf(&why, "%zu error%s, the first: ", diags->n_errors,
                   diags->n_errors == 1 ? "" : "s");
    report_first_error(diags, &why);
    if (why.len == 0)
        buf_printf(&why, "%s", r->fault);
    buf_append_char(&why, '\0');
    reload_refuse(r, why.ptr);
    buf_deinit(&why);
}

static void reload_accept(struct reload *r)
{
    const struct diag_list *diags = &r->snapshot->manifest->diags;
    struct buf why = {0};
    int code;

    /* Files that are emptied or gone are being replaced, or lost, more often than meant. */
    if (r->snapshot->n_ports == 0 && r->server->current->n_ports > 0) {
        reload_refuse(r, "the files have no listener to serve any more; to serve nothing, stop");
        return;
    }
    code = server_swap(r->server, r->snapshot, &why);
    if (code != 0) {
        buf_append_char(&why, '\0');
        reload_refuse(r, code > 0 ? why.ptr : error_trace());
        buf_deinit(&why);
        return;
    }
    r->server->has_refused_reload = false;
    r->server->n_reloads_ok++;
    snprintf(r->last_result, sizeof r->last_result, "generation %llu serves%s",
             (unsigned long long)r->server->current->generation,
             diags->n_errors ? ", incomplete: see what is missing" : "");
    log_info("reloaded: %s", r->last_result);
    report_summary(diags);
    r->snapshot = NULL;
    r->manifest = NULL;
    keeper_take(
        r->keeper, TAKE(r->kept),
        &(struct history_facts){.wall_us = r->server->loop->now.wall_unix_us, .cause = r->cause});
}

static void reload_on_done(struct wake *w)
{
    struct reload *r = CONTAINER_OF(w, struct reload, done);

    if (!r->is_running)
        return; /* joined already, by reload_deinit */
    pthread_join(r->thread, NULL);
    r->is_running = false;
    if (r->is_ended || r->is_held) {
        reload_discard(r);
        r->is_wanted = true;
    }
    /* What compile found counts too: a pattern or log format that is not valid. */
    else if (r->snapshot && reload_may_serve(r->manifest))
        reload_accept(r);
    else
        reload_refuse_files(r);
    if (r->is_wanted)
        reload_start(r, r->next_cause);
    else if (!r->is_ended)
        notify_ready(r->notify, r->last_result);
}

void reload_start(struct reload *r, struct str cause)
{
    sigset_t all, before;
    int code;

    r->is_wanted = r->is_running || r->is_held;
    r->next_cause = cause;
    if (r->is_running || r->is_ended || r->is_held)
        return;
    r->is_running = true;
    r->cause = cause;
    r->kept = kept_new(r->keeper);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&r->thread, NULL, reload_main, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        r->is_running = false;
        kept_free(TAKE(r->kept));
        log_error("reload: cannot start its thread: error %d", code);
        return;
    }
    notify_reloading(r->notify);
}

void reload_init(struct reload *r, struct server *server, struct keeper *keeper,
                 const char *const *paths, size_t n_paths)
{
    *r = (struct reload){.server = server, .keeper = keeper, .paths = paths, .n_paths = n_paths};
    wake_init(&r->done, server->loop, reload_on_done);
}

void reload_hold(struct reload *r)
{
    r->is_held = true;
}

void reload_release(struct reload *r)
{
    r->is_held = false;
    if (r->is_wanted)
        reload_start(r, r->next_cause);
}

void reload_end(struct reload *r)
{
    r->is_ended = true;
}

void reload_deinit(struct reload *r)
{
    if (!r->is_running)
        return;
    pthread_join(r->thread, NULL);
    r->is_running = false;
    reload_discard(r);
}
