/* Key feeds: registry, readers' side, and the fetch machine on control's loop. A fetch is one
 * attempt with its body held (bounded by LIMIT_KEY_SET_BYTES); key_feed_finish is the one place
 * where a fetch ends. */
#include "upstream/key_feed.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

static const uint64_t KEY_FEED_STALE_US = LIMIT_KEY_SET_STALE_S * 1000000ULL;
static const uint64_t KEY_FEED_REFETCH_US = 10ULL * 1000000;

static const struct attempt_events key_feed_events;
static void key_feed_fetch(struct key_feed *f);

/* ---- registry ---- */

static void registry_on_wake(struct wake *w)
{
    key_feed_registry_sweep(CONTAINER_OF(w, struct key_feed_registry, wake));
}

void key_feed_registry_init(struct key_feed_registry *r, struct upstreams *u,
                            key_feed_news_fn *on_news, void *ctx)
{
    *r = (struct key_feed_registry){.upstreams = u, .on_news = on_news, .ctx = ctx};
    pthread_mutex_init(&r->lock, NULL);
    random_init(&r->random);
    wake_init(&r->wake, u->loop, registry_on_wake);
}

static void key_feed_stop(struct key_feed *f)
{
    struct loop *l = f->registry->upstreams->loop;

    attempt_cancel(&f->attempt);
    timer_cancel(l, &f->timer);
    timer_cancel(l, &f->timeout_timer);
}

static void key_feed_free(struct key_feed *f)
{
    if (f->state != KEY_FEED_NEW && f->state != KEY_FEED_LOCAL)
        key_feed_stop(f);
    jwks_unref(f->keys);
    cluster_unref(f->config.cluster);
    arena_deinit(&f->arena);
    buf_deinit(&f->body);
    buf_deinit(&f->text);
    mem_free((void *)(uintptr_t)f->key.ptr);
    mem_free((void *)(uintptr_t)f->config.name.ptr);
    mem_free((void *)(uintptr_t)f->config.host.ptr);
    mem_free((void *)(uintptr_t)f->config.path.ptr);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

void key_feed_registry_deinit(struct key_feed_registry *r)
{
    LIST_FOREACH (&r->feeds, node) {
        struct key_feed *f = CONTAINER_OF(node, struct key_feed, node);

        list_remove(node);
        key_feed_free(f);
    }
    map_deinit(&r->by_key);
    pthread_mutex_destroy(&r->lock);
}

void key_feed_registry_sweep(struct key_feed_registry *r)
{
    uint64_t now_us = r->upstreams->loop->now.mono_us;

    pthread_mutex_lock(&r->lock);
    LIST_FOREACH (&r->feeds, node) {
        struct key_feed *f = CONTAINER_OF(node, struct key_feed, node);

        if (atomic_load(&f->n_refs) == 0) {
            map_remove(&r->by_key, f->key);
            list_remove(node);
            key_feed_free(f);
        } else if (f->state == KEY_FEED_NEW) {
            key_feed_fetch(f);
        } else if (atomic_exchange(&f->is_refetch_wanted, false) && f->state != KEY_FEED_FETCHING &&
                   (f->refetched_us == 0 || now_us - f->refetched_us >= KEY_FEED_REFETCH_US)) {
            pthread_mutex_lock(&f->lock);
            f->refetched_us = now_us;
            pthread_mutex_unlock(&f->lock);
            key_feed_fetch(f);
        }
    }
    pthread_mutex_unlock(&r->lock);
}

static struct str key_feed_copy(struct str s)
{
    return str_make(mem_dup_text(s.ptr, s.len), s.len);
}

/* Under the registry's lock. */
static struct key_feed *key_feed_new(struct key_feed_registry *r, struct str key, struct str name)
{
    struct key_feed *f = MEM_NEW(struct key_feed);

    atomic_init(&f->n_refs, 1);
    pthread_mutex_init(&f->lock, NULL);
    f->registry = r;
    f->key = key_feed_copy(key);
    f->config.name = key_feed_copy(name);
    arena_init(&f->arena, 4096);
    map_put(&r->by_key, f->key, f);
    list_append(&r->feeds, &f->node);
    return f;
}

static struct key_feed *registry_find(struct key_feed_registry *r, struct str key)
{
    struct key_feed *f = map_find(&r->by_key, key);

    return f ? key_feed_ref(f) : NULL;
}

static bool key_feed_is_same_source(const struct key_feed *f, const struct key_feed_config *config)
{
    return f->config.cluster == config->cluster && str_eq(f->config.host, config->host) &&
           str_eq(f->config.path, config->path);
}

/* A new feed begins with the keys of one that reads the same source, and fetches all the same: a
 * changed timeout must not refuse everybody while the source is down. Under the registry's lock. */
static void key_feed_inherit(struct key_feed *f)
{
    LIST_FOREACH (&f->registry->feeds, node) {
        struct key_feed *other = CONTAINER_OF(node, struct key_feed, node);

        if (other == f || !key_feed_is_same_source(other, &f->config))
            continue;
        pthread_mutex_lock(&other->lock);
        if (other->keys && (!f->keys || other->fetched_us > f->fetched_us)) {
            jwks_unref(f->keys);
            f->keys = jwks_ref(other->keys);
            buf_clear(&f->text);
            buf_append_str(&f->text, buf_str(&other->text));
            f->fetched_us = other->fetched_us;
            f->is_answered = true;
            f->facts.n_keys = other->facts.n_keys;
            f->facts.fetched_wall_us = other->facts.fetched_wall_us;
            atomic_store(&f->keys_version, jwks_version(f->keys));
        }
        pthread_mutex_unlock(&other->lock);
    }
}

struct key_feed *key_feed_get_remote(struct key_feed_registry *r, struct str key,
                                     const struct key_feed_config *config)
{
    pthread_mutex_lock(&r->lock);
    struct key_feed *f = registry_find(r, key);

    if (!f) {
        f = key_feed_new(r, key, config->name);
        struct str name = f->config.name;

        f->config = *config;
        f->config.name = name;
        f->config.host = key_feed_copy(config->host);
        f->config.path = key_feed_copy(config->path);
        f->config.cluster = cluster_ref(config->cluster);
        key_feed_inherit(f);
    }
    pthread_mutex_unlock(&r->lock);
    return f;
}

int key_feed_get_local(struct key_feed_registry *r, struct str key, struct str name,
                       struct str json, struct key_feed **ret_feed)
{
    struct jwks *keys = NULL;
    int code = 0;

    pthread_mutex_lock(&r->lock);
    struct key_feed *f = registry_find(r, key);

    if (!f) {
        code = jwks_new(json, &keys);
        if (code == 0) {
            f = key_feed_new(r, key, name);
            f->keys = keys;
            atomic_store(&f->keys_version, jwks_version(keys));
            f->state = f->facts.state = KEY_FEED_LOCAL;
            f->facts.n_keys = jwks_n_keys(keys);
            f->is_answered = true;
        }
    }
    pthread_mutex_unlock(&r->lock);
    *ret_feed = f;
    return code;
}

struct key_feed *key_feed_ref(struct key_feed *f)
{
    atomic_fetch_add_explicit(&f->n_refs, 1, memory_order_relaxed);
    return f;
}

void key_feed_unref(struct key_feed *f)
{
    if (f)
        atomic_fetch_sub_explicit(&f->n_refs, 1, memory_order_acq_rel);
}

/* ---- readers ---- */

struct jwks *key_feed_keys(struct key_feed *f, bool *ret_is_pending)
{
    pthread_mutex_lock(&f->lock);
    struct jwks *keys = f->keys ? jwks_ref(f->keys) : NULL;

    *ret_is_pending = !f->is_answered;
    pthread_mutex_unlock(&f->lock);
    return keys;
}

bool key_feed_want_refetch(struct key_feed *f, uint64_t now_us)
{
    bool is_allowed;

    pthread_mutex_lock(&f->lock);
    is_allowed = f->facts.state == KEY_FEED_FETCHING ||
                 (f->facts.state != KEY_FEED_LOCAL &&
                  (f->refetched_us == 0 || now_us - f->refetched_us >= KEY_FEED_REFETCH_US));
    pthread_mutex_unlock(&f->lock);
    if (is_allowed && !atomic_exchange(&f->is_refetch_wanted, true))
        wake_post(&f->registry->wake);
    return is_allowed;
}

void key_feed_read_facts(struct key_feed *f, struct key_feed_facts *ret_facts)
{
    pthread_mutex_lock(&f->lock);
    *ret_facts = f->facts;
    pthread_mutex_unlock(&f->lock);
}

/* ---- the fetch machine, on control ---- */

static void key_feed_set_state(struct key_feed *f, enum key_feed_state to)
{
    f->state = to;
    pthread_mutex_lock(&f->lock);
    f->facts.state = to;
    pthread_mutex_unlock(&f->lock);
}

/* Takes over `keys` (NULL: the fetch failed for the reason `error`). */
static void key_feed_publish(struct key_feed *f, struct jwks *keys, const char *error)
{
    struct loop *l = f->registry->upstreams->loop;
    struct jwks *old = NULL;

    pthread_mutex_lock(&f->lock);
    f->is_answered = true;
    if (keys) {
        old = f->keys;
        f->keys = keys;
        atomic_store(&f->keys_version, jwks_version(keys));
        f->facts.n_keys = jwks_n_keys(keys);
        f->facts.n_fetches_ok++;
        f->fetched_us = l->now.mono_us;
        f->facts.fetched_wall_us = l->now.wall_unix_us;
        f->facts.last_error[0] = '\0';
    } else {
        f->facts.n_fetches_failed++;
        snprintf(f->facts.last_error, sizeof f->facts.last_error, "%s", error);
        if (f->keys && l->now.mono_us - f->fetched_us > KEY_FEED_STALE_US) {
            old = f->keys;
            f->keys = NULL;
            atomic_store(&f->keys_version, 0);
        }
    }
    pthread_mutex_unlock(&f->lock);
    jwks_unref(old);
    atomic_fetch_add_explicit(&f->version, 1, memory_order_release);
    f->registry->on_news(f->registry->ctx);
}

static void key_feed_on_timer(struct timer *t)
{
    key_feed_fetch(CONTAINER_OF(t, struct key_feed, timer));
}

static uint64_t key_feed_pause(struct key_feed *f, uint32_t triggers)
{
    return key_feed_retry_pause(&f->config.retry, &f->n_failed, triggers,
                                random_u64(&f->registry->random));
}

/* Of the keys that are about to serve. */
static void key_feed_keep_text(struct key_feed *f, struct buf *text)
{
    pthread_mutex_lock(&f->lock);
    buf_deinit(&f->text);
    f->text = *text;
    pthread_mutex_unlock(&f->lock);
    *text = (struct buf){0};
}

/* Once when it begins to fail, and once when it is over: tries in between are counted. */
static void key_feed_say(const struct key_feed *f, bool was_failing, const char *error)
{
    if (error && !was_failing)
        log_warn("keys of provider %.*s cannot be fetched: %s; %s", STR_ARG(f->config.name), error,
                 f->keys ? "those of before go on serving"
                         : "its routes answer 503 until they can");
    else if (!error && was_failing)
        log_info("keys of provider %.*s are fetched again", STR_ARG(f->config.name));
}

/* The one end of a fetch. `triggers`: what kind of failure an error is (key_feed_retry.h). */
static void key_feed_finish(struct key_feed *f, const char *error, uint32_t triggers)
{
    struct loop *l = f->registry->upstreams->loop;
    bool was_failing = f->facts.last_error[0] != '\0'; /* nobody else writes it */
    struct jwks *keys = NULL;

    timer_cancel(l, &f->timeout_timer);
    if (!error && jwks_new(buf_str(&f->body), &keys) != 0)
        error = "the answer is not a usable JSON Web Key Set";
    if (!error)
        key_feed_keep_text(f, &f->body);
    buf_deinit(&f->body);
    f->timer.fn = key_feed_on_timer;
    if (!error) {
        f->n_failed = 0;
        key_feed_set_state(f, KEY_FEED_FRESH);
        timer_set(l, &f->timer, l->now.mono_us + f->config.cache_us / 10 * 8);
    } else {
        key_feed_set_state(f, KEY_FEED_RETRYING);
        timer_set(l, &f->timer, l->now.mono_us + key_feed_pause(f, triggers));
    }
    key_feed_publish(f, keys, error);
    key_feed_say(f, was_failing, error);
}

static uint32_t key_feed_triggers(enum attempt_failure why)
{
    enum { RESET = KEY_FEED_ON_RESET | KEY_FEED_ON_5XX | KEY_FEED_ON_GATEWAY_ERROR };

    switch (why) {
    case ATTEMPT_NO_ENDPOINT:
    case ATTEMPT_OVERFLOW: /* it has no bounds */
    case ATTEMPT_NO_ROOM:
    case ATTEMPT_CONNECT_FAILED:
    case ATTEMPT_CONNECT_TIMEOUT:
        return KEY_FEED_ON_CONNECT_FAILURE | RESET;
    case ATTEMPT_REFUSED:
    case ATTEMPT_RESET:
    case ATTEMPT_RESET_MIDWAY:
    case ATTEMPT_BAD_ANSWER:
        return RESET;
    case ATTEMPT_OK:
    case ATTEMPT_NO_UPGRADE: /* it asks for none */
    case ATTEMPT_TIMEOUT:    /* whoever owns the attempt says these two: not a key feed */
    case ATTEMPT_ERROR_ANSWER:
        break;
    }
    return 0;
}

static struct key_feed *key_feed_of(struct attempt *a)
{
    return CONTAINER_OF(a, struct key_feed, attempt);
}

static void key_feed_on_timeout(struct timer *t)
{
    struct key_feed *f = CONTAINER_OF(t, struct key_feed, timeout_timer);

    attempt_cancel(&f->attempt);
    key_feed_finish(f, "timeout", KEY_FEED_ON_5XX | KEY_FEED_ON_GATEWAY_ERROR);
}

static void key_feed_fetch(struct key_feed *f)
{
    struct upstreams *u = f->registry->upstreams;
    struct http_request *request = &f->request;
    int r;

    ASSERT(f->state != KEY_FEED_FETCHING && f->state != KEY_FEED_LOCAL);
    key_feed_set_state(f, KEY_FEED_FETCHING);
    timer_cancel(u->loop, &f->timer);
    arena_reset(&f->arena);
    *request = (struct http_request){.method = HTTP_METHOD_GET,
                                     .method_text = STR("GET"),
                                     .scheme = f->config.cluster->tls ? STR("https") : STR("http"),
                                     .authority = f->config.host,
                                     .path = f->config.path,
                                     .minor_version = 1,
                                     .is_keep_alive = true};
    http_headers_init(&request->headers, &f->arena);
    http_headers_add_id(&request->headers, HEADER_ACCEPT, STR("application/json"));
    http_headers_add_id(&request->headers, HEADER_USER_AGENT, STR("tollgate"));
    attempt_init(&f->attempt, u, &key_feed_events, &f->arena);
    f->attempt.limits = f->config.has_limits ? &f->config.limits : NULL;
    f->attempt.idle_us = f->config.idle_us;
    f->timeout_timer.fn = key_feed_on_timeout;
    timer_set(u->loop, &f->timeout_timer, u->loop->now.mono_us + f->config.timeout_us);
    r = attempt_start(&f->attempt, f->config.cluster, request, f->config.connect_us);
    if (r != 0)
        key_feed_finish(f, "no endpoint, or it could not be reached",
                        key_feed_triggers((enum attempt_failure)r));
    else if (f->attempt.state == ATTEMPT_STREAMING)
        attempt_send_end(&f->attempt, NULL);
}

static void key_feed_on_ready(struct attempt *a)
{
    attempt_send_end(a, NULL);
}

static void key_feed_on_writable(struct attempt *a UNUSED)
{
}

static void key_feed_on_head(struct attempt *a)
{
    char error[48];

    if (a->response.status == 200)
        return;
    /* Redirects included: a key set comes from where the policy says, or not at all. */
    snprintf(error, sizeof error, "status %u", a->response.status);
    attempt_cancel(a);
    key_feed_finish(key_feed_of(a), error, key_feed_triggers_of_status(a->response.status));
}

static void key_feed_on_data(struct attempt *a, struct str span)
{
    struct key_feed *f = key_feed_of(a);

    if (f->body.len + span.len > LIMIT_KEY_SET_BYTES) {
        attempt_cancel(a);
        key_feed_finish(f, "the key set is too large", 0);
        return;
    }
    buf_append(&f->body, span.ptr, span.len);
}

static void key_feed_on_end(struct attempt *a)
{
    key_feed_finish(key_feed_of(a), NULL, 0);
}

static void key_feed_on_batch_end(struct attempt *a UNUSED)
{
}

static void key_feed_on_fail(struct attempt *a, enum attempt_failure why)
{
    key_feed_finish(key_feed_of(a), attempt_failure_rows[why].text, key_feed_triggers(why));
}

static const struct attempt_events key_feed_events = {
    .on_ready = key_feed_on_ready,
    .on_writable = key_feed_on_writable,
    .on_head = key_feed_on_head,
    .on_data = key_feed_on_data,
    .on_end = key_feed_on_end,
    .on_batch_end = key_feed_on_batch_end,
    .on_fail = key_feed_on_fail,
};

/* ---- another process ---- */

void key_feed_export(struct key_feed_registry *r, key_feed_copy_fn *fn, void *ctx)
{
    pthread_mutex_lock(&r->lock);
    LIST_FOREACH (&r->feeds, node) {
        struct key_feed *f = CONTAINER_OF(node, struct key_feed, node);
        uint64_t now_us = r->upstreams->loop->now.mono_us;

        pthread_mutex_lock(&f->lock);
        if (f->keys && f->text.len > 0)
            fn(ctx, &(struct key_feed_copy){.key = f->key,
                                            .json = buf_str(&f->text),
                                            .age_us = now_us - f->fetched_us});
        pthread_mutex_unlock(&f->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

static void key_feed_adopt(struct key_feed *f, const struct key_feed_copy *copy, struct jwks *keys)
{
    const struct loop *l = f->registry->upstreams->loop;

    pthread_mutex_lock(&f->lock);
    jwks_unref(f->keys);
    f->keys = keys;
    buf_clear(&f->text);
    buf_append_str(&f->text, copy->json);
    f->is_answered = true;
    f->fetched_us = l->now.mono_us - copy->age_us;
    f->facts.n_keys = jwks_n_keys(keys);
    f->facts.fetched_wall_us = l->now.wall_unix_us - (int64_t)copy->age_us;
    atomic_store(&f->keys_version, jwks_version(keys));
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_add_explicit(&f->version, 1, memory_order_release);
    f->registry->on_news(f->registry->ctx);
}

/* Only control changes what was fetched: what is looked at here stays so. */
static bool key_feed_wants(const struct key_feed *f, const struct key_feed_copy *copy)
{
    uint64_t now_us = f->registry->upstreams->loop->now.mono_us;

    return f->state != KEY_FEED_LOCAL && copy->age_us <= MIN(KEY_FEED_STALE_US, now_us) &&
           (!f->keys || f->fetched_us < now_us - copy->age_us);
}

void key_feed_import(struct key_feed_registry *r, const struct key_feed_copy *copy)
{
    struct jwks *keys = NULL;
    struct key_feed *f;

    pthread_mutex_lock(&r->lock);
    f = registry_find(r, copy->key);
    pthread_mutex_unlock(&r->lock);
    if (f && key_feed_wants(f, copy) && jwks_new(copy->json, &keys) == 0)
        key_feed_adopt(f, copy, keys);
    key_feed_unref(f);
}
