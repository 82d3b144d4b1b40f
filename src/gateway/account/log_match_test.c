/* Matches of access logs: each attribute is what the record says, absent where Envoy has none; what
 * is no condition is refused at its place. */
#include "gateway/account/log_match.h"
#include "test/harness/test.h"

static struct str header_of(const void *context, struct str name)
{
    const char *const *pairs = context;

    for (; *pairs; pairs += 2) {
        if (str_eq(name, str_of(pairs[0])))
            return str_of(pairs[1]);
    }
    return STR_NULL;
}

static const char *const headers[] = {"x-envoy-logged", "yes", "referer", "https://a/",
                                      "empty",          "",    NULL};
static const struct access_cost costs[] = {{STR("llm_total_token"), 50}};

static const struct str names[] = {{"spiffe://a/b", 12}, {"second", 6}};
static const struct access_peer peer = {
    .subject = STR("CN=a"),
    .hash = STR("00ff"),
    .certificate = STR("-----BEGIN%20"),
    .uris = names,
    .dns_names = names,
    .local_uris = names,
    .n_uris = 2,
    .n_dns_names = 1,
    .n_local_uris = 1,
};

static uint64_t bytes_of(const void *context, enum access_headers which)
{
    (void)context;
    return 100 + (uint64_t)which;
}

static struct access_record record(void)
{
    return (struct access_record){
        .method = STR("POST"),
        .path = STR("/v1/chat"),
        .query = STR("a=1"),
        .protocol = STR("HTTP/2"),
        .status = 503,
        .has_grpc_status = true,
        .grpc_status = 14,
        .details = STR("upstream_connect_failed"),
        .flags = STR("UF,URX"),
        .bytes_received = 12,
        .bytes_sent = 3456,
        .duration_us = 1500000,
        .points_us = {0, 100, 200, 300, 400, 500, 600, 700},
        .pool_us = 150,
        .n_attempts = 3,
        .upstream_host = STR("[2001:db8::2]:8080"),
        .upstream_local = STR("127.0.0.1:4444"),
        .upstream_cluster = STR("Service/a/b:80"),
        .upstream_failure = STR("Connection refused"),
        .termination = STR("ended"),
        .route_name = STR("httproute/ns/r/rule/0"),
        .remote = STR("10.0.0.1:5555"),
        .remote_ip = STR("10.0.0.1"),
        .local = STR("10.0.0.2:443"),
        .upstream_tls_version = STR("TLSv1.2"),
        .server_name = STR("sni.example"),
        .tls_failure = STR("no"),
        .tls_version = STR("TLSv1.3"),
        .peer = &peer,
        .connection_id = 7,
        .authority = STR("h.example"),
        .user_agent = STR("curl/8"),
        .request_id = STR("id-1"),
        .tenant = STR("tenant-a"),
        .model = STR("iris"),
        .tokens_in = 5,
        .tokens_out = LOG_TOKENS_UNKNOWN,
        .costs = costs,
        .n_costs = N_ELEMENTS(costs),
        .context = headers,
        .request_header = header_of,
        .response_header = header_of,
        .response_trailer = header_of,
        .headers_bytes = bytes_of,
    };
}

static bool holds(const char *text, const struct access_record *r)
{
    const struct cel_expr *match;
    struct cel_error error;
    struct arena a;
    bool result;

    arena_init(&a, 4096);
    CHECK_MSG(log_match_parse(&a, str_of(text), &match, &error) == 0, "%s: %.*s", text,
              STR_ARG(error.text));
    result = log_match_any(&match, 1, r, &a);
    arena_deinit(&a);
    return result;
}

TEST(each_attribute_is_what_the_record_says)
{
    static const char *const rows[] = {
        "request.path == '/v1/chat?a=1'",
        "request.url_path == '/v1/chat'",
        "request.host == 'h.example'",
        "request.method == 'POST'",
        "request.headers['x-envoy-logged'] == 'yes'",
        "request.headers['X-Envoy-Logged'] == 'yes'",
        "'x-envoy-logged' in request.headers && !('x-none' in request.headers)",
        "'empty' in request.headers && request.headers['empty'] == ''",
        "request.headers[':path'] == '/v1/chat?a=1' && request.headers[':method'] == 'POST'",
        "request.headers[':authority'] == 'h.example' && request.headers['host'] == 'h.example'",
        "request.headers['x-model'] == 'iris' && request.headers['x-tenant'] == 'tenant-a'",
        "request.referer.startsWith('https:')",
        "request.useragent.contains('curl')",
        "request.id == 'id-1'",
        "request.protocol == 'HTTP/2'",
        "request.query == 'a=1'",
        "request.duration == duration('1.5s') && request.duration > duration('1499ms')",
        "request.size == 12 && request.headers_bytes == 100 && request.total_size == 112",
        "request.scheme == 'https'",
        "response.code >= 500 && response.code in [502, 503]",
        "response.code_details == 'upstream_connect_failed'",
        "response.flags == 32768 + 32", /* URX and UF */
        "response.grpc_status == 14",
        "response.headers['x-envoy-logged'] == 'yes'",
        "response.trailers['x-envoy-logged'] == 'yes'",
        "response.size > 3000 && response.headers_bytes == 101",
        "response.total_size == 3456 + 101 + 102",
        "response.backend_latency == duration('300us')",
        "source.address == '10.0.0.1:5555' && source.port == 5555",
        "destination.address == '10.0.0.2:443' && destination.port == 443",
        "connection.requested_server_name == 'sni.example'",
        "connection.termination_details == 'ended' && connection.id == 7",
        "connection.transport_failure_reason == 'no'",
        "connection.mtls && connection.tls_version == 'TLSv1.3'",
        "connection.subject_peer_certificate == 'CN=a'",
        "connection.uri_san_peer_certificate.startsWith('spiffe://')",
        "connection.dns_san_peer_certificate == connection.uri_san_local_certificate",
        "connection.sha256_peer_certificate_digest == '00ff'",
        "connection.peer_certificate.contains('BEGIN')",
        "upstream.tls_version == 'TLSv1.2' && upstream.cx_pool_ready_duration < duration('1ms')",
        "upstream.address == '[2001:db8::2]:8080' && upstream.port == 8080",
        "upstream.local_address.startsWith('127.')",
        "upstream.transport_failure_reason.contains('refused')",
        "upstream.request_attempt_count == 3u",
        "metadata.filter_metadata['io.envoy.ai_gateway']['llm_total_token'] > 49",
        "metadata.filter_metadata['tollgate']['tenant'] == 'tenant-a'",
        "metadata.filter_metadata['tollgate']['tokens_in'] == 5u",
        "!('tokens_out' in metadata.filter_metadata['tollgate'])",
        "xds.cluster_name == 'Service/a/b:80'",
        "xds.route_name.endsWith('/rule/0')",
        "request.path.matches('^/v[0-9]+/') && request.path.matches('hat')",
    };
    struct access_record r = record();
    struct buf docs = {0};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_MSG(holds(rows[i], &r), "%s", rows[i]);
    /* And none is left out: every row of the table stands above. */
    log_match_docs(&docs);
    for (struct str rest = buf_str(&docs), line; str_split(&rest, '\n', &line);) {
        struct str name = str_slice(line, 3, line.len);
        bool is_found = false;

        if (!str_starts_with(line, STR("| `")))
            continue;
        name = str_slice(name, 0, (size_t)str_find_char(name, '`', 0));
        if (str_find_char(name, '[', 0) > 0)
            name = str_slice(name, 0, (size_t)str_find_char(name, '[', 0));
        for (size_t i = 0; i < N_ELEMENTS(rows); i++)
            is_found |= str_find(str_of(rows[i]), name) >= 0;
        CHECK_MSG(is_found && name.len > 0, "%.*s", STR_ARG(name));
    }
    buf_deinit(&docs);
}

TEST(what_is_not_there_is_no_match)
{
    static const char *const rows[] = {
        "request.headers['x-none'] != 'yes'",
        "response.code < 500",
        "response.code >= 0 && response.grpc_status >= 0",
        "upstream.port > 0",
        "upstream.address != 'x'",
        "source.port > 0",
        "metadata.filter_metadata['tollgate']['tenant'] != 'x'",
        "metadata.filter_metadata['io.envoy.ai_gateway']['llm_total_token'] >= 0",
        "request.referer != 'x'",
        "response.flags != 0",
        "1 / response.flags > 0",
        "connection.mtls",
        "connection.subject_peer_certificate != 'x'",
        "connection.tls_version != 'x'",
        "response.backend_latency >= duration('0s')",
    };
    const struct access_record nothing = {
        .tokens_in = LOG_TOKENS_UNKNOWN,
        .points_us = {0, ACCESS_NEVER, ACCESS_NEVER, ACCESS_NEVER, ACCESS_NEVER, ACCESS_NEVER},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_MSG(!holds(rows[i], &nothing), "%s", rows[i]);
    CHECK(holds("request.query == '' && connection.requested_server_name == ''", &nothing));
    CHECK(holds("request.headers['x-none'] == 'a' || response.flags == 0", &nothing));
}

TEST(one_of_several_matches_is_enough)
{
    static const char *const texts[] = {"response.code == 200", "request.headers['no'] == ''",
                                        "request.method == 'POST'"};
    const struct cel_expr *matches[N_ELEMENTS(texts)];
    struct access_record r = record();
    struct cel_error error;
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(texts); i++)
        CHECK_INT(log_match_parse(&a, str_of(texts[i]), &matches[i], &error), 0);
    CHECK(log_match_any(matches, N_ELEMENTS(texts), &r, &a));
    CHECK(!log_match_any(matches, N_ELEMENTS(texts) - 1, &r, &a));
    CHECK(!log_match_any(matches, 0, &r, &a));
    arena_deinit(&a);
}

TEST(a_match_that_is_none_is_told_at_its_place)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *words;
    } rows[] = {
        {"response.code", 0, "a match is a bool, but this is a int"},
        {"response.kode > 1", 0, "there is no variable response.kode"},
        {"true && request.time > 1", 8, "there is no variable request.time"},
        {"request.headers == 'a'", 16, "expected a key"},
        {"metadata.filter_metadata['other']['x'] == 'a'", 0, "never has a other:x"},
        {"request.path.matches('(')", 21, "not a regular expression"},
        {"response.code ==", 16, "expected a value"},
    };
    const struct cel_expr *match;
    struct cel_error error;
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        CHECK_MSG(log_match_parse(&a, str_of(rows[i].text), &match, &error) == CEL_INVALID, "%s",
                  rows[i].text);
        CHECK_MSG(error.offset == rows[i].offset, "%s: at %zu", rows[i].text, error.offset);
        CHECK_MSG(str_find(error.text, str_of(rows[i].words)) >= 0, "%s: %.*s", rows[i].text,
                  STR_ARG(error.text));
    }
    arena_deinit(&a);
}

TEST(a_pattern_that_takes_too_long_is_no_match)
{
    static char path[3000];
    struct access_record r = record();

    memset(path, 'a', sizeof path);
    r.path = str_make(path, sizeof path);
    /* It would hold if it were only not found. */
    CHECK(!holds("!request.url_path.matches('^(a+)+[bc]$')", &r));
    r.path = STR("aaa");
    CHECK(holds("!request.url_path.matches('^(a+)+[bc]$')", &r));
}
