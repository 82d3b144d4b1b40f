/* The live picture in-process: a server that has compiled a configuration and serves no port, and
 * readers that keep what they are sent. Time is the loop's, moved by hand. */
#include "admin/live/live.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "base/limits.h"
#include "base/mem.h"
#include "gateway/compile/compile_api.h"
#include "test/harness/test.h"

static const char gateway_text[] =
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: GatewayClass\n"
    "metadata: {name: c}\n"
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: Gateway\n"
    "metadata: {name: front, namespace: play}\n"
    "spec:\n"
    "  gatewayClassName: c\n"
    "  listeners: [{name: http, port: 80, protocol: HTTP}]\n";

static void add_route(struct buf *text, const char *name, const char *backend)
{
    buf_printf(text,
               "---\n"
               "apiVersion: gateway.envoyproxy.io/v1alpha1\n"
               "kind: Backend\n"
               "metadata: {name: %s, namespace: play}\n"
               "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9}}]}\n"
               "---\n"
               "apiVersion: gateway.networking.k8s.io/v1\n"
               "kind: HTTPRoute\n"
               "metadata: {name: %s, namespace: play}\n"
               "spec:\n"
               "  parentRefs: [{name: front}]\n"
               "  rules:\n"
               "  - matches: [{path: {type: PathPrefix, value: /%s}}]\n"
               "    backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: %s}]\n",
               name, name, name, backend);
}

struct play {
    struct loop loop;
    struct server server;
    struct admin admin;
};

static struct play *play_open(struct str manifests)
{
    static struct server_options options = {.n_workers = 1,
                                            .cluster_domain = {"cluster.local", 13}};
    struct play *p = MEM_NEW(struct play);
    struct manifest *m = MEM_NEW(struct manifest);
    struct manifest_options manifest_options = {0};

    CHECK(loop_init(&p->loop) == 0);
    CHECK(server_init(&p->server, &p->loop, &options) == 0);
    CHECK(manifest_load_bytes(m, "test.yaml", manifests, &manifest_options) == 0);
    CHECK(compile_for_server(&p->server, m, &p->server.current) == 0);
    snapshot_publish(p->server.current);
    admin_init(&p->admin, &p->server);
    return p;
}

static void play_close(struct play *p)
{
    admin_deinit(&p->admin);
    server_deinit(&p->server);
    outbox_pool_deinit(&p->admin.outboxes);
    loop_deinit(&p->loop);
    mem_free(p);
}

static void play_pass(struct play *p, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        p->loop.now.mono_us += 1000000;
        p->loop.now.wall_unix_us += 1000000;
        live_tick(&p->admin.live);
    }
}

struct reader {
    struct live_reader live;
    struct live *of;
    struct buf got;
    size_t most; /* of one time */
    bool takes_nothing;
    bool has_given_up;
};

static bool reader_send(struct live_reader *r, struct str events)
{
    struct reader *reader = CONTAINER_OF(r, struct reader, live);

    if (reader->takes_nothing)
        return false;
    buf_append_str(&reader->got, events);
    reader->most = MAX(reader->most, events.len);
    return true;
}

static void reader_give_up(struct live_reader *r)
{
    struct reader *reader = CONTAINER_OF(r, struct reader, live);

    reader->has_given_up = true;
    live_leave(reader->of, r);
}

static void reader_join(struct reader *r, struct play *p)
{
    *r = (struct reader){.live.send = reader_send, .live.give_up = reader_give_up};
    r->of = &p->admin.live;
    live_join(&p->admin.live, &r->live);
}

static void reader_deinit(struct reader *r)
{
    live_leave(r->of, &r->live);
    buf_deinit(&r->got);
}

/* The data of the last event of that name, NUL-terminated; NULL: there is none. */
static char *reader_last(struct reader *r, const char *name)
{
    char mark[64];
    size_t n = (size_t)snprintf(mark, sizeof mark, "event: %s\ndata: ", name);
    char *at = NULL;
    char *next;

    buf_append_char(&r->got, '\0');
    next = r->got.ptr;
    while ((next = strstr(next, mark)))
        at = next += n;
    r->got.len--;
    if (!at)
        return NULL;
    at = mem_dup_text(at, strcspn(at, "\n"));
    return at;
}

static unsigned reader_count(struct reader *r, const char *name)
{
    char mark[64];
    const char *at;
    unsigned n = 0;

    snprintf(mark, sizeof mark, "event: %s\n", name);
    buf_append_char(&r->got, '\0');
    for (at = r->got.ptr; (at = strstr(at, mark)); at++)
        n++;
    r->got.len--;
    return n;
}

static bool reader_has(struct reader *r, const char *name, const char *text)
{
    char *data = reader_last(r, name);
    bool has = data && strstr(data, text);

    mem_free(data);
    return has;
}

static const char *const part_names[] = {
#define X(name) #name,
    LIVE_PARTS(X)
#undef X
};

TEST(a_reader_gets_all_of_the_picture_first)
{
    struct buf text = {0};
    struct reader r;
    struct play *p;

    buf_printf(&text, "%s", gateway_text);
    add_route(&text, "one", "one");
    p = play_open(buf_str(&text));
    reader_join(&r, p);
    for (size_t i = 0; i < N_ELEMENTS(part_names); i++) {
        char *data = reader_last(&r, part_names[i]);

        CHECK_MSG(data && data[0] == '{' && data[strlen(data) - 1] == '}', "%s", part_names[i]);
        mem_free(data);
    }
    CHECK(reader_has(&r, "traffic", "\"ready\":true"));
    CHECK(
        reader_has(&r, "backends", "\"backend\":\"Backend/play/one\",\"endpoints\":1,\"sick\":0"));
    CHECK(reader_has(&r, "objects",
                     "{\"depth\":0,\"kind\":\"Gateway\",\"namespace\":\"play\",\"name\":\"front\","
                     "\"says\":\"Accepted, Programmed\",\"well\":true},"
                     "{\"depth\":1,\"kind\":\"Listener\",\"name\":\"http\",\"port\":80,"
                     "\"says\":\"ResolvedRefs, Accepted, Programmed\",\"well\":true},"
                     "{\"depth\":2,\"kind\":\"HTTPRoute\""));
    CHECK(reader_has(&r, "objects", "\"troubles\":[],\"troubles_more\":0"));
    reader_deinit(&r);
    play_close(p);
    buf_deinit(&text);
}

TEST(then_only_what_has_changed)
{
    struct metrics_shard *shard;
    struct reader r;
    struct play *p = play_open(str_of(gateway_text));

    shard = p->server.control_metrics;
    reader_join(&r, p);
    buf_clear(&r.got);
    play_pass(p, 1);
    CHECK(reader_has(&r, "traffic", "\"window_ms\":1000"));
    for (size_t i = 1; i < N_ELEMENTS(part_names); i++)
        CHECK_MSG(!reader_has(&r, part_names[i], ""), "%s", part_names[i]);
    metric_add(METRICS_SERIES(shard, METRIC_AI_REQUESTS, STR("a"), STR("m"), STR("200")), 3);
    metric_add(METRICS_SERIES(shard, METRIC_REFUSALS, STR("forbidden")), 2);
    play_pass(p, 1);
    CHECK(reader_has(&r, "usage", "\"tenant\":\"a\",\"model\":\"m\",\"requests_ever\":3"));
    CHECK(reader_has(&r, "traffic",
                     "{\"code\":\"forbidden\",\"requests\":2,\"sentence\":\"This "
                     "caller may not use this route.\"}"));
    CHECK(!reader_has(&r, "objects", ""));
    reader_deinit(&r);
    play_close(p);
}

TEST(what_is_not_well_is_told_with_its_reason)
{
    struct buf text = {0};
    struct reader r;
    struct play *p;

    buf_printf(&text, "%s", gateway_text);
    add_route(&text, "one", "another");
    p = play_open(buf_str(&text));
    reader_join(&r, p);
    CHECK(reader_has(&r, "objects",
                     "\"troubles\":[{\"kind\":\"HTTPRoute\",\"namespace\":\"play\","
                     "\"name\":\"one\",\"place\":\"test.yaml:"));
    CHECK(reader_has(&r, "objects", "\"type\":\"ResolvedRefs\",\"reason\":\"BackendNotFound\""));
    CHECK(reader_has(&r, "objects", "\"finding\":{\"place\":\"test.yaml:"));
    CHECK(reader_has(&r, "objects",
                     "\"says\":\"Accepted, not ResolvedRefs (BackendNotFound)\",\"well\":false}"));
    reader_deinit(&r);
    play_close(p);
    buf_deinit(&text);
}

/* Names as long as Kubernetes has them. */
static void make_crowd(struct buf *text, struct metrics_shard *shard, int n)
{
    for (int i = 0; i < n; i++) {
        char name[64], backend_name[96];
        struct str label, backend;

        label =
            str_make(name, (size_t)snprintf(name, sizeof name, "a-name-that-is-not-short-%d", i));
        backend = str_make(backend_name, (size_t)snprintf(backend_name, sizeof backend_name,
                                                          "Backend/play/%s", name));
        if (text)
            add_route(text, name, i % 2 ? name : "missing");
        if (!shard)
            continue;
        metric_add(METRICS_SERIES(shard, METRIC_AI_REQUESTS, label, STR("m"), STR("200")), 1);
        metric_add(METRICS_SERIES(shard, METRIC_REQUESTS, STR("l"), label, STR("2xx")), 1);
        metric_add(METRICS_SERIES(shard, METRIC_UPSTREAM_REQUESTS, backend, STR("2xx")), 1);
        metric_add(METRICS_SERIES(shard, METRIC_REFUSALS, label), 1);
    }
}

TEST(hundreds_of_everything_stay_within_the_bound_of_a_second)
{
    enum { N = 400, SECONDS = 20 };
    struct buf text = {0};
    struct reader r;
    struct play *p;
    size_t n_all;

    buf_printf(&text, "%s", gateway_text);
    make_crowd(&text, NULL, N);
    p = play_open(buf_str(&text));
    make_crowd(NULL, p->server.control_metrics, N);
    reader_join(&r, p);
    for (int i = 0; i < SECONDS; i++) {
        make_crowd(NULL, p->server.control_metrics, N);
        play_pass(p, 1);
    }
    CHECK_MSG(r.most <= LIMIT_LIVE_BYTES_PER_S, "%zu bytes at once", r.most);
    n_all = r.got.len;
    CHECK_MSG(n_all <= (SECONDS + 1) * (size_t)LIMIT_LIVE_BYTES_PER_S, "%zu bytes", n_all);
    for (size_t i = 0; i < N_ELEMENTS(part_names); i++)
        CHECK_MSG(reader_has(&r, part_names[i], ""), "%s never came", part_names[i]);
    /* Those that change all the time do not all fit, and take turns. */
    CHECK_INT(reader_count(&r, "traffic"), SECONDS + 1);
    CHECK(reader_count(&r, "backends") >= SECONDS / 3);
    CHECK(reader_count(&r, "usage") >= SECONDS / 3);
    CHECK(reader_count(&r, "backends") + reader_count(&r, "usage") < 2 * SECONDS);
    for (size_t i = 0; i < N_ELEMENTS(part_names); i++) {
        char *data = reader_last(&r, part_names[i]);

        CHECK_MSG(strlen(data) <= 9000, "%s: %zu bytes", part_names[i], strlen(data));
        mem_free(data);
    }
    /* Every row is there or counted. */
    char *data = reader_last(&r, "backends");
    size_t n_rows = 0;

    for (char *at = data; (at = strstr(at, "{\"backend\":")); at++)
        n_rows++;
    CHECK(n_rows > 5);
    CHECK_INT(n_rows + strtoul(strstr(data, "\"backends_more\":") + 16, NULL, 10), N / 2);
    mem_free(data);
    reader_deinit(&r);
    play_close(p);
    buf_deinit(&text);
}

/* The second of all readers may begin right behind it. */
TEST(who_comes_later_has_the_bound_of_a_second_too)
{
    enum { N = 400 };
    struct buf text = {0};
    struct reader first, later;
    struct play *p;

    buf_printf(&text, "%s", gateway_text);
    make_crowd(&text, NULL, N);
    p = play_open(buf_str(&text));
    make_crowd(NULL, p->server.control_metrics, N);
    reader_join(&first, p);
    make_crowd(NULL, p->server.control_metrics, N);
    reader_join(&later, p);
    live_tick(&p->admin.live);
    CHECK_MSG(later.got.len <= LIMIT_LIVE_BYTES_PER_S, "%zu bytes", later.got.len);
    play_pass(p, 5);
    CHECK(later.got.len <= 6 * (size_t)LIMIT_LIVE_BYTES_PER_S);
    for (size_t i = 0; i < N_ELEMENTS(part_names); i++)
        CHECK_MSG(reader_has(&later, part_names[i], ""), "%s never came", part_names[i]);
    reader_deinit(&first);
    reader_deinit(&later);
    play_close(p);
    buf_deinit(&text);
}

TEST(who_takes_nothing_is_given_up_and_others_are_not)
{
    struct play *p = play_open(str_of(gateway_text));
    struct reader lazy;
    struct reader r;

    reader_join(&r, p);
    reader_join(&lazy, p);
    lazy.takes_nothing = true;
    play_pass(p, LIMIT_LIVE_SILENT_S - 1);
    CHECK(!lazy.has_given_up);
    play_pass(p, 1);
    CHECK(lazy.has_given_up && !r.has_given_up);
    CHECK_INT(p->admin.live.readers.n_nodes, 1);
    reader_deinit(&lazy);
    reader_deinit(&r);
    play_close(p);
}

TEST(what_was_not_taken_is_sent_again)
{
    struct play *p = play_open(str_of(gateway_text));
    struct reader r;

    reader_join(&r, p);
    r.takes_nothing = true;
    buf_clear(&r.got);
    metric_add(METRICS_SERIES(p->server.control_metrics, METRIC_AI_REQUESTS, STR("a"), STR("m"),
                              STR("200")),
               1);
    play_pass(p, 2);
    r.takes_nothing = false;
    play_pass(p, 1);
    CHECK(reader_has(&r, "usage", "\"tenant\":\"a\""));
    reader_deinit(&r);
    play_close(p);
}

TEST(nobody_looks_and_nothing_is_kept)
{
    struct play *p = play_open(str_of(gateway_text));
    uint32_t n_timers = p->loop.n_timers;
    struct reader r;

    reader_join(&r, p);
    CHECK_INT(p->loop.n_timers, n_timers + 1);
    CHECK(p->admin.live.sample.is_begun);
    reader_deinit(&r);
    CHECK_INT(p->loop.n_timers, n_timers);
    CHECK(!p->admin.live.sample.is_begun);
    CHECK(!p->admin.live.parts[LIVE_traffic].text.ptr && !p->admin.live.scratch.ptr);
    play_close(p);
}
