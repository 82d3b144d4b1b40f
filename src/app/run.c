/* tollgate run: control's life. Order at start: signals blocked, limits raised, another user or a
 * parent where there is something to give up, files watched, manifests loaded, the sandbox entered
 * (no thread is there yet), manifests compiled, admin ports, listeners, workers. Order at the end
 * (SIGTERM): not ready but still accepting for the drain delay, then no new connections, running
 * requests finish within the drain timeout, exit 0. A second signal ends at once. The same, without
 * the delay, when another process takes over (app/takeover). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "admin/admin.h"
#include "app/commands.h"
#include "app/notify.h"
#include "app/reload.h"
#include "app/report.h"
#include "app/sandbox.h"
#include "app/supervisor.h"
#include "app/takeover/takeover.h"
#include "base/error.h"
#include "base/log_memory.h"
#include "base/mem.h"
#include "gateway/advice/advice.h"
#include "gateway/compile/compile_api.h"
#include "net/signals.h"
#include "net/watch.h"

enum {
    RUN_LOGGED_FINDINGS = 50,
    RUN_GOES_ON = -1,
    RUN_DRAIN_REPORT_S = 5, /* between two words of how far it is */
    RUN_US_PER_S = 1000000,
};

struct run {
    struct options *options;
    struct broker broker; /* fd -1: no parent */
    struct notify notify;
    struct manifest *manifest; /* until the first snapshot owns it */
    struct loop loop;
    struct server server;
    struct admin admin;
    struct keeper keeper; /* of configurations */
    struct kept *kept;    /* the first one, until it serves */
    struct reload reload;
    struct takeover takeover;
    struct watch watch;
    struct signals signals;
    struct timer drain_timer;
    struct timer drain_report;
    bool is_draining;    /* a first signal came, or another process took over */
    bool is_handed_over; /* the latter, and no signal came yet */
};

/* As many descriptors as we may have, and no core dumps unless asked for: memory holds keys and
 * tokens. */
static void run_set_limits(const struct options *o)
{
    struct rlimit files;
    struct rlimit none = {0, 0};

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (!o->dumps_core)
        setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, o->dumps_core ? 1 : 0);
}

/* ---- end ---- */

static void run_on_drain_timeout(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, drain_timer);

    log_warn("the drain timeout has passed: %u connections are closed",
             server_n_connections(&r->server));
    loop_stop(&r->loop);
}

/* The last connection has gone. What the predecessor still tells is to be told on, though, until it
 * ends or the drain timeout does. */
static void run_on_idle(struct server *server)
{
    struct run *r = CONTAINER_OF(server, struct run, server);

    if (!takeover_is_between(&r->takeover))
        loop_stop(server->loop);
}

static void run_on_predecessor_end(struct taker *t)
{
    struct run *r = CONTAINER_OF(t, struct run, takeover.taker);

    if (server_is_idle(&r->server))
        loop_stop(&r->loop);
}

/* Whoever waits for the end sees that it comes nearer. */
static void run_on_drain_report(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, drain_report);
    uint64_t now_us = r->loop.now.mono_us, end_us = r->drain_timer.due_us;
    uint32_t n = server_n_connections(&r->server);

    log_info("still draining: %u connection%s open, %u s are left", n, n == 1 ? " is" : "s are",
             (unsigned)(end_us > now_us ? (end_us - now_us) / RUN_US_PER_S : 0));
    timer_set(&r->loop, t, now_us + RUN_DRAIN_REPORT_S * (uint64_t)RUN_US_PER_S);
}

static void run_drain_now(struct run *r)
{
    r->server.on_idle = run_on_idle;
    log_info("draining: no new connections, %u are open", server_n_connections(&r->server));
    r->drain_timer.fn = run_on_drain_timeout;
    timer_set(&r->loop, &r->drain_timer,
              r->loop.now.mono_us + (uint64_t)r->options->drain_timeout_s * 1000000);
    r->drain_report.fn = run_on_drain_report;
    timer_set(&r->loop, &r->drain_report,
              r->loop.now.mono_us + RUN_DRAIN_REPORT_S * (uint64_t)RUN_US_PER_S);
    server_drain(&r->server, r->is_handed_over);
}

static void run_on_drain_delay(struct timer *t)
{
    run_drain_now(CONTAINER_OF(t, struct run, drain_timer));
}

static void run_end(struct run *r, bool has_delay)
{
    if (r->is_handed_over) {
        r->is_handed_over = false;
        log_info("another process has taken over: finishing what is left here");
        return;
    }
    if (r->is_draining) {
        log_warn("second signal: ending at once");
        loop_stop(&r->loop);
        return;
    }
    r->is_draining = true;
    r->admin.facts.is_draining = true;
    notify_stopping(&r->notify);
    server_leave(&r->server);
    reload_end(&r->reload);
    giver_stop(&r->takeover.giver);
    if (!has_delay || r->options->drain_delay_s == 0) {
        run_drain_now(r);
        return;
    }
    log_info("shutting down: not ready, draining in %u s", r->options->drain_delay_s);
    r->drain_timer.fn = run_on_drain_delay;
    timer_set(&r->loop, &r->drain_timer,
              r->loop.now.mono_us + (uint64_t)r->options->drain_delay_s * 1000000);
}

/* ---- another process takes over ---- */

static void run_on_hand(struct giver *g)
{
    reload_hold(&CONTAINER_OF(g, struct run, takeover.giver)->reload);
}

static void run_on_abandon(struct giver *g)
{
    reload_release(&CONTAINER_OF(g, struct run, takeover.giver)->reload);
}

static void run_on_drained(struct server *server)
{
    giver_go(&CONTAINER_OF(server, struct run, server)->takeover.giver);
}

static void run_on_taken(struct giver *g)
{
    struct run *r = CONTAINER_OF(g, struct run, takeover.giver);

    r->is_draining = true;
    r->is_handed_over = true;
    notify_stopping(&r->notify);
    r->server.on_drained = run_on_drained;
    reload_end(&r->reload);
    run_drain_now(r);
}

/* ---- events ---- */

/* Not on the way out: a swap would open ports again. */
static void run_reload(struct run *r, struct str cause)
{
    if (!r->is_draining)
        reload_start(&r->reload, cause);
}

static void run_on_signal(struct signals *s, int number)
{
    struct run *r = CONTAINER_OF(s, struct run, signals);

    switch (number) {
    case SIGHUP:
        run_reload(r, STR("SIGHUP"));
        break;
    case SIGUSR1:
        log_writer_reopen(&r->server.log_writer);
        break;
    case SIGTERM:
        run_end(r, true);
        break;
    case SIGINT: /* somebody at a terminal: no balancer has to notice first */
        run_end(r, false);
        break;
    default:
        break;
    }
}

static void run_on_change(struct watch *w)
{
    run_reload(CONTAINER_OF(w, struct run, watch), STR("files changed"));
}

/* ---- start ---- */

/* Says what was found in the first configuration, and whether it can start with that. */
static bool run_judge(const struct run *r, int code)
{
    const struct diag_list *diags = &r->manifest->diags;

    report_findings(diags, DIAG_WARNING, RUN_LOGGED_FINDINGS);
    report_summary(diags);
    if (code == 0 && (!r->options->server.is_strict || diags->n_errors == 0))
        return true;
    log_error("cannot start: %s", code < 0   ? error_trace()
                                  : code > 0 ? "the manifests cannot be read"
                                             : "--strict, and there are errors");
    return false;
}

static void run_drop_manifest(struct run *r)
{
    if (r->manifest)
        manifest_deinit(r->manifest);
    mem_free(r->manifest);
    r->manifest = NULL;
}

/* False: it cannot start (said already). */
static bool run_load(struct run *r)
{
    struct manifest_options options = {.is_strict = r->options->server.is_strict};
    int code;

    r->kept = kept_new(&r->keeper);
    options.keep = r->kept ? kept_note : NULL;
    options.keep_ctx = r->kept;
    r->manifest = MEM_NEW(struct manifest);
    code = manifest_load(r->manifest, r->options->paths, r->options->n_paths, &options);
    return code == 0 || run_judge(r, code);
}

/* The first snapshot. NULL: it cannot start (said already). */
static struct snapshot *run_compile(struct run *r)
{
    struct snapshot *snapshot = NULL;
    int code = compile_for_server(&r->server, r->manifest, &snapshot);
    bool is_ok;

    if (snapshot)
        advice_give(r->manifest, clock_wall_s(clock_read()));
    is_ok = run_judge(r, code);

    if (!snapshot)
        return NULL;
    r->manifest = NULL;
    if (is_ok)
        return snapshot;
    snapshot_free(snapshot);
    return NULL;
}

/* False: what was asked for cannot be given up (said already). */
static bool run_enter_sandbox(struct run *r)
{
    const struct options *o = r->options;
    struct sandbox s = {.roots = o->paths,
                        .n_roots = o->n_paths,
                        .log_folders = o->log_folders,
                        .n_log_folders = o->n_log_folders,
                        .state_folder = o->state_folder,
                        .manifest = r->manifest,
                        .may_listen = o->server.broker == NULL};

    for (size_t i = 0; i < o->n_log_folders; i++) {
        if (access(o->log_folders[i], W_OK | X_OK) != 0)
            log_warn("--log-folder %s: no log can be written there: %s", o->log_folders[i],
                     strerror(errno));
    }
    if (!o->has_sandbox || !sandbox_is_built_in())
        return true;
    if (sandbox_enter(&s) < 0) {
        log_error("cannot start: the sandbox: %s", error_trace());
        return false;
    }
    if (!s.has_files)
        log_warn("this kernel has no Landlock: all files that the user may open can be opened");
    if (!s.has_calls)
        log_warn("this kernel has no seccomp: all system calls can be made");
    return true;
}

static bool run_listen_admin(struct run *r, const struct socket_address *address, struct str text,
                             bool is_probe)
{
    int code = admin_listen(&r->admin, address, text, is_probe);

    if (code == 0)
        return true;
    log_error("%s %.*s: %s (%s)", is_probe ? "--probe" : "--admin", STR_ARG(text),
              code > 0 ? socket_listen_error(code) : error_trace(),
              is_probe ? "give another port" : "give another port, or off");
    return false;
}

static void run_say_ready(const struct run *r)
{
    report_listeners(&r->server);
    log_info("%u worker%s", r->server.n_workers, r->server.n_workers == 1 ? "" : "s");
    if (r->options->has_admin)
        log_info("admin on http://%.*s/", STR_ARG(r->options->admin_text));
    if (r->options->has_probe)
        log_info("probe on http://%.*s/ready", STR_ARG(r->options->probe_text));
}

static bool run_open_ports(struct run *r, struct snapshot *first)
{
    const struct options *o = r->options;
    struct buf why = {0};
    int code;

    if ((o->has_admin && !run_listen_admin(r, &o->admin, o->admin_text, false)) ||
        (o->has_probe && !run_listen_admin(r, &o->probe, o->probe_text, true)))
        return false;
    code = server_open(&r->server, first, &why);
    if (code != 0) {
        buf_append_char(&why, '\0');
        log_error("cannot start: %s", code > 0 ? why.ptr : error_trace());
    }
    buf_deinit(&why);
    return code == 0;
}

/* Who starts it says so, where it is known. */
static void run_keep_first(struct run *r)
{
    struct history_facts facts = {.wall_us = r->loop.now.wall_unix_us,
                                  .cause = STR("start"),
                                  .who = str_of(getenv("TOLLGATE_CHANGE_BY")),
                                  .reason = str_of(getenv("TOLLGATE_CHANGE_REASON"))};

    keeper_take(&r->keeper, TAKE(r->kept), &facts);
}

/* True: everything is up. */
static bool run_start(struct run *r)
{
    struct snapshot *first = run_compile(r);

    if (!first)
        return false;
    admin_init(&r->admin, &r->server);
    r->admin.facts.last_reload = r->reload.last_result;
    if (!takeover_take(&r->takeover, &r->server) || !run_open_ports(r, first) ||
        !takeover_commit(&r->takeover)) {
        snapshot_free(first);
        return false;
    }
    if (server_start(&r->server, first) < 0) {
        log_error("cannot start: %s", error_trace());
        snapshot_free(first);
        return false;
    }
    r->takeover.giver.on_hand = run_on_hand;
    r->takeover.giver.on_abandon = run_on_abandon;
    r->takeover.giver.on_taken = run_on_taken;
    r->takeover.taker.on_end = run_on_predecessor_end;
    takeover_offer(&r->takeover, &r->server, &r->admin);
    run_keep_first(r);
    return true;
}

/* Before the first load: a change while it reads must lead to a reload. */
static bool run_watch(struct run *r)
{
    if (signals_open(&r->signals, &r->loop, run_on_signal) < 0) {
        log_error("cannot take signals: %s", error_trace());
        return false;
    }
    if (watch_open(&r->watch, &r->loop, r->options->paths, r->options->n_paths, run_on_change) < 0)
        log_warn("files are not watched (%s): reload with SIGHUP", error_trace());
    else if (r->watch.n_unwatched > 0)
        log_warn("%zu folder%s not watched, for want of inotify watches "
                 "(fs.inotify.max_user_watches) or of the right to read: reload with SIGHUP",
                 r->watch.n_unwatched, r->watch.n_unwatched == 1 ? " is" : "s are");
    return true;
}

/* Without threads until the sandbox is entered: it holds for those that start later. */
static bool run_prepare(struct run *r)
{
    struct options *o = r->options;

    notify_open(&r->notify);
    if (!keeper_open(&r->keeper, o->state_folder) || !run_watch(r) || !run_load(r) ||
        !takeover_find(&r->takeover, o->takeover) || !run_enter_sandbox(r))
        return false;
    o->server.inheritance = &r->takeover.taker.sockets;
    if (server_init(&r->server, &r->loop, &o->server) < 0) {
        log_error("cannot start: %s", error_trace());
        r->server.loop = NULL; /* half made: left as it is, the process ends */
        return false;
    }
    reload_init(&r->reload, &r->server, &r->keeper, o->paths, o->n_paths);
    r->reload.notify = &r->notify;
    snprintf(r->reload.last_result, sizeof r->reload.last_result, "none since start");
    return true;
}

/* Who this process is: the gateway (RUN_GOES_ON), or its parent, with an exit code at its end. */
static int run_find_place(struct run *r, char **argv)
{
    struct options *o = r->options;
    struct identity who = {0};
    struct buf why = {0};

    if (broker_open(&r->broker) < 0) {
        log_error("cannot start: %s names no parent: %s", BROKER_VARIABLE, error_trace());
        return 1;
    }
    if (r->broker.fd >= 0) { /* it has seen to the user */
        o->server.broker = &r->broker;
        prctl(PR_SET_NAME, "tollgate");
        return RUN_GOES_ON;
    }
    if (identity_find(o->user, &who, &why) != 0) {
        log_error("cannot start: --user: %.*s", STR_ARG(buf_str(&why)));
        buf_deinit(&why);
        return 1;
    }
    if (who.is_other)
        log_info("started as root: the gateway runs as user %s (--user)", who.name);
    if (o->supervision == SUPERVISION_ON ||
        (o->supervision == SUPERVISION_AS_NEEDED && who.is_other))
        return supervisor_run(argv, &who);
    if (identity_assume(&who, true) < 0) {
        log_error("cannot start: becoming user %s: %s", who.name, error_trace());
        return 1;
    }
    return RUN_GOES_ON;
}

static void run_finish(struct run *r)
{
    timer_cancel(&r->loop, &r->drain_timer);
    timer_cancel(&r->loop, &r->drain_report);
    watch_close(&r->watch);
    signals_close(&r->signals);
    reload_deinit(&r->reload);
    kept_free(TAKE(r->kept));
    keeper_close(&r->keeper);
    admin_deinit(&r->admin);
    giver_stop(&r->takeover.giver);
    taker_close(&r->takeover.taker); /* what it would tell, the server could not take any more */
    server_deinit(&r->server);
    takeover_close(&r->takeover); /* the last exchanges have said what they cost */
    outbox_pool_deinit(&r->admin.outboxes);
    run_drop_manifest(r);
    loop_deinit(&r->loop);
    broker_close(&r->broker);
    notify_close(&r->notify);
}

int command_run(struct options *o, char **argv)
{
    struct run *r = MEM_NEW(struct run);
    bool is_ok;
    int code;

    log_set_level(o->log_level);
    log_memory_open();
    run_set_limits(o);
    r->options = o;
    takeover_init(&r->takeover);
    code = run_find_place(r, argv);
    if (code != RUN_GOES_ON) {
        mem_free(r);
        return code;
    }
    run_set_limits(o); /* a change of user has set it anew */
    if (loop_init(&r->loop) < 0) {
        log_error("cannot start: %s", error_trace());
        return 1;
    }
    is_ok = run_prepare(r) && run_start(r);
    if (is_ok) {
        run_say_ready(r);
        broker_say_ready(o->server.broker);
        notify_ready(&r->notify, "serving");
        is_ok = loop_run(&r->loop) == 0;
    }
    run_finish(r);
    if (!r->server.log_writer.is_stuck) /* its thread looks at it until the process ends */
        mem_free(r);
    return is_ok ? 0 : 1;
}
