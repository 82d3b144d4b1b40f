/* Sorting matches by precedence and laying them out as route_layout.h draws it.
 *
 * Matches are dealt out in rank order, so every list comes out sorted without sorting again. First
 * each (host, path) collects its matches in a growing draft bucket; then each bucket is split into
 * segments and written into the table's arena, key text and lists next to each other.
 *
 * Owner: the caller's two arenas (the table's, and scratch for the drafts). Thread: one, on the
 * compile thread; nothing here runs per request. */
#include <stdlib.h>

#include "base/limits.h"
#include "policy/host_pattern.h"
#include "policy/route_draft.h"

struct draft_list {
    const struct route_match **items;
    size_t n;
    size_t cap;
};

struct draft_bucket {
    struct route_key key;
    struct draft_list list;
};

struct draft_vhost {
    struct route_vhost *vhost;
    struct draft_list regexes;
    uint64_t *lengths;
    size_t n_words;
};

struct route_build {
    struct arena *arena;
    struct arena *scratch;
    struct route_table *table;
    struct route_index draft_index; /* buckets and vhosts while they grow */
    VEC(struct draft_bucket *) buckets;
    VEC(struct draft_vhost *) vhosts;
    struct draft_vhost *any_host;
    uint32_t next_scope;
};

/* A vhost under construction, found by its host pattern. */
struct draft_host {
    struct route_key key;
    struct draft_vhost *draft;
};

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

_Static_assert(sizeof(struct route_bucket) <= 64 && sizeof(struct route_vhost) <= 64,
               "what every lookup touches fits a cache line");

/* Negative: `a` comes first by this. */
static int compare_by(enum route_precedence by, const struct route_draft *a,
                      const struct route_draft *b)
{
    switch (by) {
    case ROUTE_PRECEDENCE_PATH_KIND:
        return compare_u64(b->match->path_kind, a->match->path_kind);
    case ROUTE_PRECEDENCE_PATH_LENGTH:
        return compare_u64(b->path_len, a->path_len);
    case ROUTE_PRECEDENCE_CALL_LENGTH:
        return compare_u64(b->n_method, a->n_method);
    case ROUTE_PRECEDENCE_METHOD:
        return compare_u64(b->match->has_method, a->match->has_method);
    case ROUTE_PRECEDENCE_HEADERS:
        return compare_u64(b->n_headers, a->n_headers);
    case ROUTE_PRECEDENCE_QUERIES:
        return compare_u64(b->match->n_queries, a->match->n_queries);
    case ROUTE_PRECEDENCE_AGE:
        return (a->created_unix_s > b->created_unix_s) - (a->created_unix_s < b->created_unix_s);
    case ROUTE_PRECEDENCE_AI:
        return compare_u64(b->match->is_ai, a->match->is_ai);
    case ROUTE_PRECEDENCE_NAME:
        return str_compare(a->route_name, b->route_name);
    case ROUTE_PRECEDENCE_RULE:
        return compare_u64(a->rule_index, b->rule_index);
    case ROUTE_PRECEDENCE_MATCH:
        return compare_u64(a->match_index, b->match_index);
    case ROUTE_PRECEDENCE_ADDING:
    case ROUTE_PRECEDENCES_:
        break;
    }
    return compare_u64(a->number, b->number);
}

/* The first by which they differ: numbers of adding all differ. */
static enum route_precedence find_difference(const struct route_draft *a,
                                             const struct route_draft *b, int *ret_order)
{
    enum route_precedence by = (enum route_precedence)0;

    while ((*ret_order = compare_by(by, a, b)) == 0 && by < ROUTE_PRECEDENCE_ADDING)
        by++;
    return by;
}

/* The order at the head of route_table.h; negative: `a` first. */
static int compare_drafts(const void *left, const void *right)
{
    int order;

    find_difference(left, right, &order);
    return order;
}

/* An object at the start of a cache line with the text of its key right behind it. */
static void *alloc_keyed(struct route_build *b, size_t n_object, struct str text,
                         struct str *ret_text)
{
    char *at = arena_alloc(b->arena, n_object + text.len + 48);
    char *object = at + (-(uintptr_t)at & 63);

    if (text.len > 0)
        memcpy(object + n_object, text.ptr, text.len);
    *ret_text = str_make(object + n_object, text.len);
    return object;
}

#define NEW_KEYED(b, type, text, ret_text) ((type *)alloc_keyed((b), sizeof(type), text, ret_text))

static struct draft_vhost *new_vhost(struct route_build *b, struct str text, uint32_t scope)
{
    struct draft_vhost *draft = ARENA_NEW(b->scratch, struct draft_vhost);
    struct str copy;

    draft->vhost = NEW_KEYED(b, struct route_vhost, text, &copy);
    draft->vhost->key = (struct route_key){copy, scope};
    draft->vhost->exact_scope = b->next_scope;
    b->next_scope += 2;
    VEC_PUSH(b->scratch, &b->vhosts, draft);
    return draft;
}

static struct draft_vhost *get_vhost(struct route_build *b, struct str host)
{
    bool is_wildcard = host_pattern_is_wildcard(host);
    uint32_t scope = is_wildcard ? ROUTE_SCOPE_SUFFIX : ROUTE_SCOPE_HOST;
    struct str text = is_wildcard ? str_slice(host, 1, host.len) : host;

    if (host.len == 0) {
        if (!b->any_host)
            b->any_host = new_vhost(b, STR(""), ROUTE_SCOPE_HOST);
        return b->any_host;
    }
    struct route_key *key = route_index_find(&b->draft_index, scope, text);

    if (key)
        return CONTAINER_OF(key, struct draft_host, key)->draft;
    struct draft_host *entry = ARENA_NEW(b->scratch, struct draft_host);

    entry->draft = new_vhost(b, text, scope);
    entry->key = (struct route_key){text, scope};
    route_index_add(&b->draft_index, &entry->key);
    route_index_add(&b->table->index, &entry->draft->vhost->key);
    b->table->has_hosts = true;
    b->table->has_suffixes = b->table->has_suffixes || is_wildcard;
    return entry->draft;
}

static void push_match(struct route_build *b, struct draft_list *list, const struct route_match *m)
{
    /* A rule may name one host twice. */
    if (list->n == 0 || list->items[list->n - 1] != m)
        VEC_PUSH(b->scratch, list, m);
}

static void note_prefix(struct route_build *b, struct draft_vhost *draft, size_t len)
{
    size_t n_words = len / 64 + 1;

    /* Longer than any target may be: it matches nothing. */
    if (len > LIMIT_TARGET_BYTES)
        return;
    if (n_words > draft->n_words) {
        uint64_t *words = ARENA_ARRAY(b->scratch, uint64_t, n_words);

        if (draft->n_words > 0)
            memcpy(words, draft->lengths, draft->n_words * sizeof *words);
        draft->lengths = words;
        draft->n_words = n_words;
    }
    draft->lengths[len / 64] |= UINT64_C(1) << (len % 64);
    if (len > draft->vhost->max_prefix)
        draft->vhost->max_prefix = (uint16_t)len;
}

static void deal_match(struct route_build *b, struct draft_vhost *draft,
                       const struct route_match *m)
{
    struct route_vhost *vhost = draft->vhost;
    bool is_prefix = m->path_kind == ROUTE_PATH_PREFIX;

    if (m->path_kind == ROUTE_PATH_REGEX) {
        push_match(b, &draft->regexes, m);
        return;
    }
    uint32_t scope = vhost->exact_scope + (is_prefix ? 1 : 0);
    struct route_key *key = route_index_find(&b->draft_index, scope, m->path);

    if (!key) {
        struct draft_bucket *bucket = ARENA_NEW(b->scratch, struct draft_bucket);

        bucket->key = (struct route_key){m->path, scope};
        key = &bucket->key;
        route_index_add(&b->draft_index, key);
        VEC_PUSH(b->scratch, &b->buckets, bucket);
    }
    push_match(b, &CONTAINER_OF(key, struct draft_bucket, key)->list, m);
    if (is_prefix)
        note_prefix(b, draft, m->path.len);
    else
        vhost->has_exact = true;
}

/* `single` is a place next to the list's owner for a list of one. */
static struct route_list finish_list(struct route_build *b, const struct draft_list *draft,
                                     const struct route_match **single)
{
    if (draft->n == 0)
        return (struct route_list){0};
    if (draft->n == 1 && single) {
        *single = draft->items[0];
        return (struct route_list){single, 1};
    }
    const struct route_match **items = ARENA_ARRAY(b->arena, const struct route_match *, draft->n);

    memcpy(items, draft->items, draft->n * sizeof *items);
    return (struct route_list){items, draft->n};
}

/* What a segment would be indexed by. */
struct share {
    struct route_key key; /* text: header name; scope: kind and group, see share_scope */
    enum route_segment_kind kind;
    uint32_t auth_group;
    struct field_name name;
    size_t n_matches;
};

/* Kind and auth_group as one number: the index of shares is private to one bucket. */
static uint32_t share_scope(enum route_segment_kind kind, uint32_t auth_group)
{
    return kind == ROUTE_SEGMENT_EARLY ? UINT32_MAX : auth_group;
}

static const struct route_condition *find_condition(const struct route_match *m,
                                                    const struct share *s)
{
    bool is_early = s->kind == ROUTE_SEGMENT_EARLY;
    const struct route_condition *items = is_early ? m->early : m->late;
    unsigned n = is_early ? m->n_early : m->n_late;

    if (!is_early && m->auth_group != s->auth_group)
        return NULL;
    for (unsigned i = 0; i < n; i++) {
        if (!items[i].regex && str_eq(items[i].name.text, s->name.text))
            return &items[i];
    }
    return NULL;
}

struct share_count {
    struct arena *scratch;
    struct route_index index;
    struct share *best;
};

static void count_share(struct share_count *count, enum route_segment_kind kind,
                        uint32_t auth_group, const struct route_condition *c)
{
    uint32_t scope = share_scope(kind, auth_group);

    /* Host is not in the header list; and a pattern has no single value. */
    if (c->regex || c->name.id == HEADER_HOST)
        return;
    struct route_key *key = route_index_find(&count->index, scope, c->name.text);
    struct share *s = key ? CONTAINER_OF(key, struct share, key) : NULL;

    if (!s) {
        s = ARENA_NEW(count->scratch, struct share);
        s->key = (struct route_key){c->name.text, scope};
        s->kind = kind;
        s->auth_group = auth_group;
        s->name = c->name;
        route_index_add(&count->index, &s->key);
    }
    s->n_matches++;
    if (!count->best || s->n_matches > count->best->n_matches)
        count->best = s;
}

/* The header that most matches of the list require one value of; NULL when too few share one. */
static const struct share *find_share(struct route_build *b, const struct draft_list *list)
{
    struct share_count count = {.scratch = b->scratch};

    if (list->n < ROUTE_MIN_SHARED)
        return NULL;
    route_index_init(&count.index, b->scratch);
    for (size_t i = 0; i < list->n; i++) {
        const struct route_match *m = list->items[i];

        for (unsigned k = 0; k < m->n_early; k++)
            count_share(&count, ROUTE_SEGMENT_EARLY, 0, &m->early[k]);
        for (unsigned k = 0; k < m->n_late; k++)
            count_share(&count, ROUTE_SEGMENT_LATE, m->auth_group, &m->late[k]);
    }
    return count.best && count.best->n_matches >= ROUTE_MIN_SHARED ? count.best : NULL;
}

/* Lists of matches by the value that they require of the segment's header. */
static void index_values(struct route_build *b, const struct route_segment *segment,
                         const struct share *share)
{
    struct route_index index;
    VEC(struct draft_bucket *) values = {0};

    route_index_init(&index, b->scratch);
    for (size_t i = 0; i < segment->all.n; i++) {
        const struct route_match *m = segment->all.items[i];
        struct str text = find_condition(m, share)->value;
        struct route_key *key = route_index_find(&index, segment->scope, text);

        if (!key) {
            struct draft_bucket *value = ARENA_NEW(b->scratch, struct draft_bucket);

            value->key = (struct route_key){text, segment->scope};
            key = &value->key;
            route_index_add(&index, key);
            VEC_PUSH(b->scratch, &values, value);
        }
        push_match(b, &CONTAINER_OF(key, struct draft_bucket, key)->list, m);
    }
    for (size_t i = 0; i < values.n; i++) {
        const struct draft_bucket *draft = values.items[i];
        struct str text;
        struct route_value *value = NEW_KEYED(b, struct route_value, draft->key.text, &text);

        value->list = finish_list(b, &draft->list, &value->single);
        value->key = (struct route_key){text, segment->scope};
        route_index_add(&b->table->index, &value->key);
    }
}

/* Moves the matches that have the share's condition from `list` into a segment. */
static void split_segment(struct route_build *b, struct draft_list *list, const struct share *share,
                          struct route_segment *ret_segment)
{
    struct draft_list taken = {0};
    size_t n_left = 0;

    for (size_t i = 0; i < list->n; i++) {
        if (find_condition(list->items[i], share))
            push_match(b, &taken, list->items[i]);
        else
            list->items[n_left++] = list->items[i];
    }
    list->n = n_left;
    *ret_segment = (struct route_segment){
        .kind = share->kind,
        .scope = b->next_scope++,
        .auth_group = share->auth_group,
        .name = share->name,
        .all = finish_list(b, &taken, NULL),
    };
    index_values(b, ret_segment, share);
}

static void finish_bucket(struct route_build *b, struct draft_bucket *draft)
{
    struct str text;
    struct route_bucket *bucket = NEW_KEYED(b, struct route_bucket, draft->key.text, &text);
    struct route_segment segments[ROUTE_MAX_SEGMENTS];
    const struct share *share;
    uint32_t n = 0;

    while (n < ROUTE_MAX_SEGMENTS && (share = find_share(b, &draft->list)))
        split_segment(b, &draft->list, share, &segments[n++]);
    bucket->key = (struct route_key){text, draft->key.scope};
    bucket->plain = finish_list(b, &draft->list, &bucket->single);
    if (n > 0) {
        struct route_segment *items = ARENA_ARRAY(b->arena, struct route_segment, n);

        memcpy(items, segments, n * sizeof *items);
        bucket->segments = items;
        bucket->n_segments = n;
    }
    route_index_add(&b->table->index, &bucket->key);
}

static void finish_vhost(struct route_build *b, struct draft_vhost *draft)
{
    draft->vhost->regexes = finish_list(b, &draft->regexes, NULL);
    if (draft->n_words == 0)
        return;
    draft->vhost->short_prefixes = draft->lengths[0];
    uint64_t *words = ARENA_ARRAY(b->arena, uint64_t, draft->n_words);

    memcpy(words, draft->lengths, draft->n_words * sizeof *words);
    draft->vhost->prefix_lengths = words;
}

static void deal_draft(struct route_build *b, const struct route_draft *draft)
{
    if (draft->n_hosts == 0)
        deal_match(b, get_vhost(b, STR("")), draft->match);
    for (size_t i = 0; i < draft->n_hosts; i++)
        deal_match(b, get_vhost(b, draft->hosts[i]), draft->match);
}

struct route_table *route_layout_build(struct route_draft_list *drafts, struct arena *arena,
                                       struct arena *scratch)
{
    struct route_build b = {
        .arena = arena,
        .scratch = scratch,
        .table = ARENA_NEW(arena, struct route_table),
        .next_scope = ROUTE_SCOPE_FIRST,
    };
    const struct route_match **by_rank;
    int order;

    route_index_init(&b.draft_index, scratch);
    route_index_init(&b.table->index, scratch);
    if (drafts->n > 0)
        qsort(drafts->items, drafts->n, sizeof *drafts->items, compare_drafts);
    by_rank = ARENA_ARRAY(arena, const struct route_match *, drafts->n);
    for (size_t i = 0; i < drafts->n; i++) {
        drafts->items[i].match->rank = (uint32_t)i;
        if (i > 0)
            drafts->items[i].match->behind_by =
                find_difference(&drafts->items[i - 1], &drafts->items[i], &order);
        by_rank[i] = drafts->items[i].match;
        b.table->has_grpc |= drafts->items[i].match->is_grpc;
        deal_draft(&b, &drafts->items[i]);
    }
    for (size_t i = 0; i < b.buckets.n; i++)
        finish_bucket(&b, b.buckets.items[i]);
    for (size_t i = 0; i < b.vhosts.n; i++)
        finish_vhost(&b, b.vhosts.items[i]);
    b.table->any_host = b.any_host ? b.any_host->vhost : NULL;
    b.table->n_matches = drafts->n;
    b.table->by_rank = by_rank;
    route_index_finish(&b.table->index, arena);
    return b.table;
}
