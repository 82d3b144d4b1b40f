/* Fuzz target of the small grammars of requests and policies. The first byte says which; where
 * there are several parts, lines divide them. What holds beyond not crashing stands at each play:
 * two readers of the same text agree, what is taken out is gone and the rest is as it was, what is
 * written reads back, and nothing that is written can end its line. */
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "http/cookie.h"
#include "http/encode/accept_encoding.h"
#include "http/forwarded.h"
#include "http/grammar.h"
#include "http/grpc/grpc_request.h"
#include "http/grpc/grpc_status.h"
#include "http/h1.h"
#include "http/path.h"
#include "http/query.h"
#include "llm/ai_endpoint.h"
#include "policy/client_address.h"
#include "policy/cors.h"
#include "policy/field_value.h"
#include "policy/header_mods.h"
#include "policy/host_pattern.h"
#include "policy/name_set.h"
#include "policy/redirect.h"
#include "telemetry/otlp/otlp_attribute.h"
#include "telemetry/trace/trace_parent.h"
#include "telemetry/trace/trace_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { LINES_MAX = 8, ROOM_BYTES = 4096, NAME_BYTES = 253 };

struct lines {
    struct str items[LINES_MAX];
    unsigned n;
    struct arena *arena;
};

static struct str line(const struct lines *l, unsigned i)
{
    return i < l->n ? l->items[i] : STR("");
}

static bool is_inside(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* ---- hosts, lists, values ---- */

static void play_host(const struct lines *l)
{
    struct str host, again;
    uint16_t port, port_again;
    char room[ROOM_BYTES];

    if (!grammar_host_parse(line(l, 0), &host, &port))
        return;
    ASSERT(host.len > 0 && host.len <= 253 && is_inside(host, line(l, 0)));
    ASSERT(str_find(host, STR("..")) < 0 && grammar_is_value(host));
    int n = port ? snprintf(room, sizeof room, "%.*s:%u", STR_ARG(host), port)
                 : snprintf(room, sizeof room, "%.*s", STR_ARG(host));

    ASSERT(grammar_host_parse(str_make(room, (size_t)n), &again, &port_again));
    ASSERT(str_eq(host, again) && port == port_again);
}

/* A host falls under the intersection of two patterns exactly when it falls under both. */
static void play_host_pattern(const struct lines *l)
{
    struct str a = line(l, 0), b = line(l, 1), host = line(l, 2), both, other;
    bool overlaps = host_pattern_intersect(a, b, &both);

    if (a.len > NAME_BYTES || b.len > NAME_BYTES)
        return;
    ASSERT(host_pattern_intersect(b, a, &other) == overlaps);
    if (host.len == 0 || host.ptr[0] == '*') /* no host of a request */
        return;
    ASSERT((host_pattern_matches(a, host) && host_pattern_matches(b, host)) ==
           (overlaps && host_pattern_matches(both, host)));
    ASSERT(!overlaps || host_pattern_matches(both, host) == host_pattern_matches(other, host));
}

static void play_list(const struct lines *l)
{
    struct str rest = line(l, 0), member;

    for (size_t n = 0; grammar_list_next(&rest, &member); n++) {
        ASSERT(member.len > 0 && is_inside(member, line(l, 0)) && n <= line(l, 0).len);
        ASSERT(str_find_char(member, ',', 0) < 0 && str_eq(str_trim(member), member));
        ASSERT(grammar_list_has(line(l, 0), member));
    }
}

static void play_value(const struct lines *l)
{
    ASSERT(grammar_value_span(line(l, 0)) == grammar_value_span_scalar(line(l, 0)));
}

static void play_name_set(const struct lines *l)
{
    struct name_set set = {0};
    size_t at = 0, n = 0;
    struct str name;

    for (unsigned i = 0; i < l->n; i++)
        name_set_add(&set, l->arena, line(l, i));
    for (unsigned i = 0; i < l->n; i++) {
        char *other = arena_bytes(l->arena, line(l, i).len + 1);

        for (size_t k = 0; k < line(l, i).len; k++) {
            char c = line(l, i).ptr[k];

            other[k] = (char)(c == '-' ? '_' : c >= 'a' && c <= 'z' ? c - 32 : c);
        }
        ASSERT(name_set_has(&set, str_make(other, line(l, i).len)) == (line(l, i).len > 0));
    }
    while (name_set_next(&set, &at, &name))
        n++;
    ASSERT(n == set.n_names && n <= l->n);
}

/* ---- queries and cookies ---- */

/* Two readers of a parameter: with memory, and without. */
static void play_query(const struct lines *l)
{
    struct str query = line(l, 0), name = line(l, 1), value = STR_NULL;
    char *room = arena_bytes(l->arena, query.len + 1);
    bool has = query_find(query, name, l->arena, &value);
    struct str other = field_query_value(query, name, room, query.len + 1);

    ASSERT(has == (other.ptr != NULL) && (!has || str_eq(value, other)));
}

/* Several header lines are one value, and equal to nothing else. */
static void play_field(const struct lines *l)
{
    struct field_name name = field_name_make(l->arena, STR("X-A"));
    struct http_headers h;
    char room[ROOM_BYTES];
    bool is_cut;

    http_headers_init(&h, l->arena);
    for (unsigned i = 1; i < l->n; i++)
        http_headers_add(&h, STR("x-a"), line(l, i));
    struct str value = field_header_value(&h, &name, room, sizeof room, &is_cut);

    ASSERT((value.ptr != NULL) == (l->n > 1));
    if (!value.ptr || is_cut)
        return;
    ASSERT(field_header_is(&h, &name, value));
    ASSERT(field_header_is(&h, &name, line(l, 0)) == str_eq(value, line(l, 0)));
}

static void play_cookie(const struct lines *l)
{
    struct str value;
    bool has = cookie_find(line(l, 0), line(l, 1), &value);

    ASSERT(!has || (is_inside(value, line(l, 0)) && str_find_char(value, ';', 0) < 0));
    ASSERT(!has || str_find(line(l, 0), line(l, 1)) >= 0);
}

/* ---- paths ---- */

static void check_path(struct str path, struct arena *a)
{
    struct str again;

    ASSERT(path_normalize(path, a, &again) == 0 && str_eq(path, again));
    ASSERT(path.ptr[0] == '/' && str_find(path, STR("//")) < 0 && grammar_is_value(path));
}

static void check_model(struct str path, const struct kserve_path *k, struct str model,
                        struct arena *a)
{
    struct kserve_path again;
    struct str other;

    /* Some bytes no name has: then a request could not have said it. */
    if (kserve_replace_model(path, k, model, a, &other) != 0 || kserve_parse(other, a, &again) != 0)
        return;
    ASSERT(again.call == k->call);
    ASSERT(str_eq(again.model, model) && str_eq(again.version, k->version));
}

/* A model that is put in the place of another is the one that is read there. */
static void play_model(const struct lines *l)
{
    struct kserve_path k;
    struct str path;

    if (path_normalize(line(l, 0), l->arena, &path) != 0)
        return;
    check_path(path, l->arena);
    if (kserve_parse(path, l->arena, &k) != 0)
        return;
    ASSERT((k.model.len == 0) == (k.call == KSERVE_NONE));
    ASSERT(k.call == KSERVE_NONE || kserve_version(path) != 0);
    ASSERT(ai_endpoint_find(HTTP_METHOD_POST, path, k.call) < AI_ENDPOINT_COUNT_);
    (void)ai_dialect_of_path(line(l, 0));
    if (k.model.len == 0)
        return;
    check_model(path, &k, k.model, l->arena);
    if (line(l, 1).len <= 512)
        check_model(path, &k, line(l, 1), l->arena);
}

static bool is_matched(struct str path, struct str prefix)
{
    return str_starts_with(path, prefix) && (path.len == prefix.len || path.ptr[prefix.len] == '/');
}

/* Path, its prefix, pattern or replacement, substitution: what goes on is a path. */
static void play_rewrite(const struct lines *l)
{
    struct path_rewrite r;
    struct str path, prefix = line(l, 1), value, out;

    while (str_ends_with(prefix, STR("/")))
        prefix.len--;
    if (path_normalize(line(l, 0), l->arena, &path) != 0)
        return;
    /* A manifest's paths are normal too (gateway/compile). */
    if (is_matched(path, prefix) && path_normalize(line(l, 2), l->arena, &value) == 0) {
        path_rewrite_init(&r, l->arena, PATH_REWRITE_PREFIX, value);
        ASSERT(path_rewrite_apply(&r, path, prefix.len, l->arena, &out) == 0);
        check_path(out, l->arena);
    }
    if (path_rewrite_init_regex(&r, l->arena, line(l, 2), line(l, 3), NULL) == 0 &&
        path_rewrite_apply(&r, path, 0, l->arena, &out) == 0)
        check_path(out, l->arena);
}

static void play_regex(const struct lines *l)
{
    const struct regex *r;
    struct regex_groups groups;

    if (regex_compile(l->arena, line(l, 0), &r, NULL) != 0)
        return;
    for (unsigned i = 1; i < l->n; i++) {
        enum regex_verdict first = regex_match(r, line(l, i));

        ASSERT(regex_match(r, line(l, i)) == first);
        /* What matches in full is found by a search too. */
        enum regex_verdict found = regex_search(r, line(l, i), 0, &groups);

        ASSERT(first != REGEX_HIT || found != REGEX_MISS);
        for (unsigned k = 0; found == REGEX_HIT && k < N_ELEMENTS(groups.items); k++)
            ASSERT(is_inside(groups.items[k], line(l, i)));
    }
}

/* ---- addresses ---- */

static void play_cidr(const struct lines *l)
{
    struct ip_address address, again;
    struct cidr range, one;
    char room[46];

    if (cidr_parse(line(l, 0), &range)) {
        ASSERT(range.n_bits <= 128 && range.address.is_valid);
        ASSERT(cidr_has(&range, &range.address));
    }
    if (!ip_address_parse(line(l, 1), &address))
        return;
    struct str text = ip_address_format(&address, room);

    ASSERT(ip_address_parse(text, &again) && ip_address_eq(&address, &again));
    ASSERT(cidr_parse(text, &one) && one.n_bits == 128 && cidr_has(&one, &address));
}

/* Many lines are one list; who is trusted cannot be widened by what it says. */
static void play_forwarded(const struct lines *l)
{
    struct client_address_policy policy = {.mode = CLIENT_ADDRESS_HOPS};
    struct ip_address peer, address;
    struct http_headers h;
    struct str joined, node, text;
    struct str trusted = STR("10.0.0.0/8");
    size_t bad;

    http_headers_init(&h, l->arena);
    for (unsigned i = 0; i < l->n; i++) {
        if (grammar_is_value(line(l, i)))
            http_headers_add_id(&h, HEADER_X_FORWARDED_FOR, str_trim(line(l, i)));
    }
    ASSERT(ip_address_parse(STR("192.0.2.1"), &peer));
    joined = h.n > 0 ? http_headers_joined(&h, header_name(HEADER_X_FORWARDED_FOR)) : STR("");
    for (unsigned hop = 1; hop < 6; hop++) {
        policy.n_trusted_hops = hop;
        struct client_address found = client_address_find(&policy, &peer, &h);
        bool has = forwarded_for_hop(joined, hop, &node) && forwarded_address(node, &text);

        ASSERT(!has || ip_address_parse(text, &address));
        ASSERT(found.is_trusted_peer == has);
        ASSERT(ip_address_eq(&found.address, has ? &address : &peer));
    }
    policy.mode = CLIENT_ADDRESS_CIDRS;
    ASSERT(cidr_list_parse(&trusted, 1, l->arena, &policy.trusted, &bad));
    struct client_address found = client_address_find(&policy, &peer, &h);

    ASSERT(!found.is_trusted_peer && ip_address_eq(&found.address, &peer));
    ASSERT(ip_address_parse(STR("10.1.2.3"), &peer));
    found = client_address_find(&policy, &peer, &h);
    ASSERT(found.is_trusted_peer && found.address.is_valid);
}

/* ---- what is written ---- */

/* Reads a formatted answer back: exactly these headers, in their order. */
static void check_written(const struct http_response *r, struct arena *a)
{
    static const struct h1_options options = {.is_client = true, .allows_underscore = true};
    struct buf out = {0};
    struct http_response again;
    struct h1_event event;
    struct h1 codec;

    h1_format_response(&out, r, true);
    struct str input = buf_str(&out);

    h1_init(&codec, &options);
    ASSERT(h1_next(&codec, &input, a, NULL, &again, &event) == H1_EVENT);
    ASSERT(input.len == 0 && again.status == r->status && again.headers.n == r->headers.n);
    for (unsigned i = 0; i < again.headers.n; i++) {
        ASSERT(str_eq(again.headers.items[i].name, r->headers.items[i].name));
        ASSERT(again.headers.items[i].value.len <= r->headers.items[i].value.len);
    }
    ASSERT(h1_next(&codec, &input, a, NULL, &again, &event) == H1_EVENT);
    ASSERT(event.type == H1_EVENT_END);
    buf_deinit(&out);
}

/* Names and values as a policy and a claim bring them. */
static void play_headers(const struct lines *l)
{
    struct http_response r = {.status = 200, .body = HTTP_BODY_LENGTH, .minor_version = 1};
    struct header_mod set = {.name = line(l, 0), .value = line(l, 1)};
    struct header_mods_spec spec = {.set = &set, .n_set = 1, .remove = &l->items[0], .n_remove = 0};
    struct header_mods mods;
    struct str bad;

    http_headers_init(&r.headers, l->arena);
    http_headers_add(&r.headers, STR("x-a"), line(l, 1));
    r.reason = line(l, 2);
    if (header_mods_init(&mods, l->arena, &spec, &bad) == 0)
        header_mods_apply(&mods, &r.headers);
    if (r.reason.len < 4096 && line(l, 1).len < 4096)
        check_written(&r, l->arena);
}

static struct http_request request_of(const struct lines *l)
{
    struct http_request q = {
        .scheme = STR("http"), .method = HTTP_METHOD_OPTIONS, .path = STR("/"), .query = STR_NULL};

    http_headers_init(&q.headers, l->arena);
    for (unsigned i = 1; i < 4; i++) {
        static const enum header_id ids[] = {0, HEADER_ORIGIN, HEADER_ACCESS_CONTROL_REQUEST_METHOD,
                                             HEADER_ACCESS_CONTROL_REQUEST_HEADERS};

        if (line(l, i).len > 0 && grammar_is_value(line(l, i)))
            http_headers_add_id(&q.headers, ids[i], str_trim(line(l, i)));
    }
    return q;
}

/* An allowed origin, then what a browser sends. */
static void play_cors(const struct lines *l)
{
    struct str origin = line(l, 0);
    struct cors_policy policy = {
        .origins = &origin, .n_origins = 1, .max_age_s = -1, .may_credentials = true};
    struct http_response r = {.status = 204, .minor_version = 1};
    struct http_request q = request_of(l);
    struct cors c;
    size_t bad;

    if (cors_init(&c, l->arena, &policy, &bad) != 0)
        return;
    for (unsigned i = 0; i < 2; i++) {
        http_headers_init(&r.headers, l->arena);
        if (i == 0)
            cors_write_actual(&c, &q, &r.headers);
        else
            (void)cors_write_preflight(&c, &q, &r.headers);
        struct str told = http_headers_value(&r.headers, STR("access-control-allow-origin"));

        /* With credentials no wildcard, and nobody else than who asked. */
        ASSERT(!told.ptr || (str_eq(told, str_trim(line(l, 1))) && !str_eq(told, STR("*"))));
        ASSERT(!told.ptr || cors_allows_origin(&c, told));
        r.status = 200;
        r.body = HTTP_BODY_LENGTH;
        check_written(&r, l->arena);
    }
}

static void play_redirect(const struct lines *l)
{
    struct redirect r = {.status = 302};
    struct http_request q = {.scheme = STR("http"), .query = STR_NULL};
    struct str location, host;
    uint16_t port;

    if (path_normalize(line(l, 0), l->arena, &q.path) != 0)
        return;
    if (grammar_host_parse(line(l, 1), &host, &port))
        q.host = host;
    if (l->n > 2 && grammar_span(line(l, 2), GRAMMAR_TARGET) == line(l, 2).len)
        q.query = line(l, 2);
    if (redirect_location(&r, &q, 0, 8080, l->arena, &location) != 0)
        return;
    ASSERT(location.len > 0 && grammar_span(location, GRAMMAR_TARGET) == location.len);
    ASSERT(q.host.len > 0 ? str_starts_with(location, STR("http://")) : location.ptr[0] == '/');
}

/* A message is one line of ASCII that reads back; a deadline is as long as its digits say. */
static void play_grpc(const struct lines *l)
{
    struct buf out = {0}, back = {0};
    uint64_t us = 0;

    (void)grpc_content_type_is(line(l, 2));
    grpc_message_format(&out, line(l, 0));
    for (size_t i = 0; i < out.len; i++) {
        char c = out.ptr[i];

        ASSERT(c >= ' ' && c <= '~');
        if (c == '%') {
            ASSERT(i + 2 < out.len);
            c = (char)(grammar_hex(out.ptr[i + 1]) << 4 | grammar_hex(out.ptr[i + 2]));
            i += 2;
        }
        buf_append_char(&back, c);
    }
    ASSERT(str_eq(buf_str(&back), line(l, 0)));
    buf_deinit(&out);
    buf_deinit(&back);
    ASSERT(grpc_status_parse(line(l, 1)) >= GRPC_STATUS_UNTOLD);
    (void)grpc_status_camel(grpc_status_parse(line(l, 1)));
    if (grpc_timeout_parse(line(l, 1), &us) == 0)
        ASSERT(line(l, 1).len >= 2 && line(l, 1).len <= 9 && us <= UINT64_C(99999999) * 3600000000);
}

/* Each line is one of the header's, and so are they all, in any order (RFC 9110 5.3). */
static struct accept_encoding parse_accept_encoding(struct arena *a, const struct str *values,
                                                    unsigned n)
{
    struct http_headers headers;

    http_headers_init(&headers, a);
    for (unsigned i = 0; i < n; i++)
        http_headers_add_id(&headers, HEADER_ACCEPT_ENCODING, values[i]);
    return accept_encoding_parse(&headers);
}

static void assert_same_taste(const struct accept_encoding *a, const struct accept_encoding *b)
{
    for (unsigned i = 0; i < ENCODER_CODINGS; i++)
        ASSERT(a->weights[i] <= 1000 && a->weights[i] == b->weights[i]);
    ASSERT(a->identity <= 1000 && a->identity == b->identity);
}

static void play_accept_encoding(const struct lines *l)
{
    struct accept_encoding taste = parse_accept_encoding(l->arena, l->items, l->n);
    struct str turned[LINES_MAX];
    struct str joined = line(l, 0);

    for (unsigned i = 0; i < l->n; i++) {
        turned[i] = l->items[l->n - 1 - i];
        if (i > 0)
            joined = arena_join(l->arena, arena_join(l->arena, joined, STR(", ")), l->items[i]);
    }
    struct accept_encoding other = parse_accept_encoding(l->arena, turned, l->n);
    struct accept_encoding one = parse_accept_encoding(l->arena, &joined, 1);

    assert_same_taste(&taste, &other);
    assert_same_taste(&taste, &one);
}

/* ---- traces ---- */

/* What is written of a traceparent is one, of the same trace; what goes on of a tracestate is no
 * longer than it may be, and goes on as it is from then on; a text in JSON is one string. */
static void play_trace(const struct lines *l)
{
    struct trace_parent p, again;
    char text[TRACE_PARENT_BYTES];
    struct str kept = trace_state_sound(line(l, 1), l->arena);
    struct buf out = {0};
    size_t i = 1;

    if (trace_parent_parse(line(l, 0), &p)) {
        trace_parent_format(&p, text);
        ASSERT(trace_parent_parse(str_make(text, sizeof text), &again));
        ASSERT(memcmp(p.trace_id, again.trace_id, sizeof p.trace_id) == 0 &&
               p.span_id == again.span_id && p.is_sampled == again.is_sampled);
    }
    ASSERT(kept.len <= LIMIT_TRACE_STATE_BYTES && grammar_is_value(kept));
    ASSERT(str_eq(trace_state_sound(kept, l->arena), kept));
    otlp_attribute_string(&out, line(l, 2));
    for (; i < out.len && out.ptr[i] != '"'; i++) {
        ASSERT((unsigned char)out.ptr[i] >= ' ');
        i += out.ptr[i] == '\\';
    }
    ASSERT(i + 1 == out.len && out.ptr[0] == '"');
    buf_deinit(&out);
}

static void play(char which, const struct lines *l)
{
    static const struct {
        char which;
        void (*play)(const struct lines *l);
    } plays[] = {
        {'h', play_host},      {'H', play_host_pattern}, {'l', play_list},
        {'v', play_value},     {'n', play_name_set},     {'q', play_query},
        {'c', play_cookie},    {'j', play_field},        {'m', play_model},
        {'p', play_rewrite},   {'x', play_regex},        {'i', play_cidr},
        {'f', play_forwarded}, {'w', play_headers},      {'o', play_cors},
        {'r', play_redirect},  {'g', play_grpc},         {'a', play_accept_encoding},
        {'t', play_trace},
    };

    for (size_t i = 0; i < N_ELEMENTS(plays); i++) {
        if (plays[i].which == which)
            plays[i].play(l);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct lines l = {.n = 0};
    struct str rest = str_make(bytes, size);
    struct arena arena;

    if (size == 0)
        return 0;
    arena_init(&arena, 16384);
    l.arena = &arena;
    rest = str_slice(rest, 1, rest.len);
    while (l.n < LINES_MAX && str_split(&rest, '\n', &l.items[l.n]))
        l.n++;
    play((char)bytes[0], &l);
    arena_deinit(&arena);
    return 0;
}
