/* Walking a routing table for one request.
 *
 *   STAGE_EXACT -> STAGE_REGEX -> STAGE_PREFIX (longest boundary first, repeated) -> STAGE_END
 *
 * Entering a stage opens one run per segment of its bucket (a sorted list of matches); next() takes
 * the lowest rank among the runs, checks the rest of its conditions, and moves to the next stage
 * when all runs are empty. Since path kind and length lead the precedence order, the stages come
 * out in order by themselves. Owner: the caller. Thread: one; the table is shared and not touched.
 */
#include "policy/route_cursor.h"

#include "base/assert.h"
#include "base/limits.h"
#include "http/grpc/grpc_request.h"
#include "policy/route_layout.h"

enum route_stage {
    STAGE_START,
    STAGE_EXACT,
    STAGE_REGEX,
    STAGE_PREFIX,
    STAGE_END,
};

/* Longer names are no DNS names (RFC 1035 2.3.4); they match only rules without hosts. */
#define HOST_MAX_BYTES 255

_Static_assert(N_ELEMENTS(((struct route_cursor *)0)->runs) > ROUTE_MAX_SEGMENTS,
               "a cursor needs a run for every segment of a bucket and its plain list");

static const struct route_vhost *find_vhost(const struct route_table *t, struct str host)
{
    if (!t->has_hosts || host.len > HOST_MAX_BYTES)
        return t->any_host;
    struct route_key *key = route_index_find(&t->index, ROUTE_SCOPE_HOST, host);

    /* Dots from the left: the longest suffix first. A wildcard needs at least one label before. */
    for (size_t i = 1; !key && t->has_suffixes && i < host.len; i++) {
        if (host.ptr[i] == '.')
            key = route_index_find(&t->index, ROUTE_SCOPE_SUFFIX, str_slice(host, i, host.len));
    }
    return key ? CONTAINER_OF(key, struct route_vhost, key) : t->any_host;
}

void route_cursor_init(struct route_cursor *c, const struct route_table *table,
                       const struct http_request *request, bool is_ai_endpoint)
{
    c->table = table;
    c->request = request;
    c->vhost = find_vhost(table, request->host);
    c->late_value = NULL;
    c->late_context = NULL;
    c->is_ai_endpoint = is_ai_endpoint;
    c->is_grpc = table->has_grpc && grpc_request_is(request);
    c->is_shortlist = false;
    c->ignores_headers = false;
    c->stage = c->vhost ? STAGE_START : STAGE_END;
    c->n_runs = 0;
    c->last_regex = NULL;
}

void route_cursor_set_late(struct route_cursor *c, route_late_fn *fn, void *context)
{
    c->late_value = fn;
    c->late_context = context;
}

void route_cursor_set_shortlist(struct route_cursor *c)
{
    c->is_shortlist = true;
}

void route_cursor_set_preflight(struct route_cursor *c)
{
    c->ignores_headers = true;
    c->is_grpc = c->request->method == HTTP_METHOD_POST; /* its content type is to come */
}

static struct route_run *open_run(struct route_cursor *c, struct route_list list)
{
    ASSERT(c->n_runs < N_ELEMENTS(c->runs));
    struct route_run *run = &c->runs[c->n_runs];

    *run = (struct route_run){.list = list};
    c->n_runs = (uint8_t)(c->n_runs + (list.n > 0));
    return run;
}

static struct route_list list_of_value(const struct route_cursor *c, const struct route_segment *s,
                                       struct str value)
{
    struct route_key *key = value.ptr ? route_index_find(&c->table->index, s->scope, value) : NULL;

    return key ? CONTAINER_OF(key, struct route_value, key)->list : (struct route_list){0};
}

/* Apart, for its stack page: needed only by buckets with an index. */
static __attribute__((noinline)) struct route_list list_of_header(const struct route_cursor *c,
                                                                  const struct route_segment *s)
{
    char room[LIMIT_HEAD_BYTES];
    bool is_cut;
    struct str value =
        field_header_value(&c->request->headers, &s->name, room, sizeof room, &is_cut);

    return list_of_value(c, s, is_cut ? STR_NULL : value);
}

static void open_segment(struct route_cursor *c, const struct route_segment *s)
{
    if (c->ignores_headers)
        open_run(c, s->all);
    else if (s->kind == ROUTE_SEGMENT_EARLY)
        open_run(c, list_of_header(c, s))->is_indexed = true;
    else if (c->late_value)
        open_run(c,
                 list_of_value(c, s, c->late_value(c->late_context, s->auth_group, s->name.text)));
    else
        open_run(c, s->all)->may_skip = c->is_shortlist;
}

static void open_bucket(struct route_cursor *c, uint32_t scope, struct str path)
{
    struct route_key *key = route_index_find(&c->table->index, scope, path);

    if (!key)
        return;
    const struct route_bucket *bucket = CONTAINER_OF(key, struct route_bucket, key);

    open_run(c, bucket->plain);
    for (uint32_t i = 0; i < bucket->n_segments; i++)
        open_segment(c, &bucket->segments[i]);
}

static bool is_boundary(struct str path, size_t at)
{
    return at == path.len || path.ptr[at] == '/';
}

static bool is_prefix_length(const struct route_vhost *vhost, size_t n)
{
    uint64_t word = n < 64 ? vhost->short_prefixes : vhost->prefix_lengths[n / 64];

    return word >> (n % 64) & 1;
}

/* The next shorter element boundary at which some prefix of this host ends. */
static bool next_boundary(struct route_cursor *c)
{
    struct str path = c->request->path;

    while (c->prefix_end > 0) {
        size_t at = --c->prefix_end;

        if (is_prefix_length(c->vhost, at) && is_boundary(path, at))
            return true;
    }
    return false;
}

/* True when there is a next stage (its runs may be empty). */
static bool next_stage(struct route_cursor *c)
{
    struct str path = c->request->path;

    c->n_runs = 0;
    switch (c->stage) {
    case STAGE_START:
        c->stage = STAGE_EXACT;
        if (c->vhost->has_exact)
            open_bucket(c, c->vhost->exact_scope, path);
        return true;
    case STAGE_EXACT:
        c->stage = STAGE_REGEX;
        open_run(c, c->vhost->regexes);
        return true;
    case STAGE_REGEX:
        c->stage = STAGE_PREFIX;
        /* "*" (OPTIONS) has no elements. */
        c->prefix_end = path.len > 0 && path.ptr[0] == '/'
                            ? MIN(path.len, (size_t)c->vhost->max_prefix) + 1
                            : 0;
        FALLTHROUGH;
    case STAGE_PREFIX:
        if (next_boundary(c)) {
            open_bucket(c, c->vhost->exact_scope + 1, str_slice(path, 0, c->prefix_end));
            return true;
        }
        c->stage = STAGE_END;
        FALLTHROUGH;
    default:
        return false;
    }
}

/* The run whose next match has the lowest rank; NULL when all are empty. */
static struct route_run *lowest_run(struct route_cursor *c)
{
    struct route_run *best = NULL;

    for (unsigned i = 0; i < c->n_runs; i++) {
        struct route_run *run = &c->runs[i];

        if (run->at < run->list.n &&
            (!best || run->list.items[run->at]->rank < best->list.items[best->at]->rank))
            best = run;
    }
    return best;
}

static enum regex_verdict check_path_regex(struct route_cursor *c, const struct route_match *m)
{
    /* Neighbours in the list often share their pattern. */
    if (m->path_regex != c->last_regex) {
        c->last_regex = m->path_regex;
        c->last_verdict = regex_match(m->path_regex, c->request->path);
    }
    return c->last_verdict;
}

static bool has_suffix(const struct route_cursor *c, const struct route_match *m)
{
    return m->path_suffix.len == 0 || str_ends_with(c->request->path, m->path_suffix);
}

static enum regex_verdict check_match(struct route_cursor *c, const struct route_match *m,
                                      bool is_indexed)
{
    enum regex_verdict verdict = REGEX_HIT;

    if ((m->is_ai && !c->is_ai_endpoint) || (m->is_grpc && !c->is_grpc) || !has_suffix(c, m))
        return REGEX_MISS;
    if (m->path_regex)
        verdict = check_path_regex(c, m);
    if (verdict != REGEX_HIT)
        return verdict;
    /* Its only condition is the one that it was found by. */
    if (is_indexed && m->n_early == 1 && m->n_queries == 0 && !m->has_method)
        return REGEX_HIT;
    return c->ignores_headers ? route_match_bare(m, c->request) : route_match_early(m, c->request);
}

enum route_step route_cursor_next(struct route_cursor *c, const struct route_match **ret_match)
{
    if (c->stage == STAGE_END)
        return ROUTE_END;
    for (;;) {
        struct route_run *run = lowest_run(c);

        if (!run) {
            if (!next_stage(c))
                return ROUTE_END;
            continue;
        }
        const struct route_match *m = run->list.items[run->at++];
        enum regex_verdict verdict = check_match(c, m, run->is_indexed);

        if (verdict == REGEX_MISS)
            continue;
        if (run->may_skip)
            run->at = run->list.n;
        *ret_match = m;
        return verdict == REGEX_HIT ? ROUTE_CANDIDATE : ROUTE_REFUSE;
    }
}

/* ---- why not ---- */

static bool list_has(struct route_list list, const struct route_match *m)
{
    size_t from = 0;
    size_t to = list.n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (list.items[middle]->rank < m->rank)
            from = middle + 1;
        else
            to = middle;
    }
    return from < list.n && list.items[from] == m;
}

/* Does the host that was found have it? By the lists that a lookup reads. */
static bool host_has(const struct route_cursor *c, const struct route_match *m)
{
    const struct route_vhost *v = c->vhost;
    const struct route_bucket *bucket;
    struct route_key *key;

    if (!v)
        return false;
    if (m->path_kind == ROUTE_PATH_REGEX)
        return list_has(v->regexes, m);
    key = route_index_find(&c->table->index, v->exact_scope + (m->path_kind == ROUTE_PATH_PREFIX),
                           m->path);
    bucket = key ? CONTAINER_OF(key, const struct route_bucket, key) : NULL;
    if (bucket && list_has(bucket->plain, m))
        return true;
    for (uint32_t i = 0; bucket && i < bucket->n_segments; i++) {
        if (list_has(bucket->segments[i].all, m))
            return true;
    }
    return false;
}

static enum regex_verdict check_path(struct route_cursor *c, const struct route_match *m)
{
    struct str path = c->request->path;
    bool holds = false;

    switch (m->path_kind) {
    case ROUTE_PATH_REGEX:
        return check_path_regex(c, m);
    case ROUTE_PATH_EXACT:
        holds = str_eq(m->path, path);
        break;
    case ROUTE_PATH_PREFIX:
        holds = route_path_has_prefix(path, m->path) && has_suffix(c, m);
        break;
    }
    return holds ? REGEX_HIT : REGEX_MISS;
}

struct route_reason route_cursor_reason(struct route_cursor *c, const struct route_match *m,
                                        const struct http_headers *late)
{
    struct route_reason reason = {ROUTE_MEETS_ALL, NULL};
    enum regex_verdict path;

    if (!host_has(c, m))
        return (struct route_reason){ROUTE_MISSES_HOST, NULL};
    path = check_path(c, m);
    if (path != REGEX_HIT)
        return (struct route_reason){path == REGEX_LIMIT ? ROUTE_AT_LIMIT : ROUTE_MISSES_PATH,
                                     NULL};
    if (m->is_ai && !c->is_ai_endpoint)
        return (struct route_reason){ROUTE_MISSES_ENDPOINT, NULL};
    if (m->is_grpc && !c->is_grpc)
        return (struct route_reason){ROUTE_MISSES_CALL, NULL};
    reason = route_match_early_reason(m, c->request);
    return reason.by == ROUTE_MEETS_ALL && late ? route_match_late_reason(m, late) : reason;
}

struct str route_cursor_host(const struct route_cursor *c, struct arena *a)
{
    const struct route_key *key = c->vhost ? &c->vhost->key : NULL;

    if (!key)
        return STR_NULL;
    return key->scope == ROUTE_SCOPE_SUFFIX ? arena_join(a, STR("*"), key->text) : key->text;
}
