/* Formats: every operator, both shapes, escaping, redaction, errors at their column. */
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/random.h"
#include "telemetry/log_format.h"
#include "telemetry/log_operator.h"
#include "telemetry/log_redact.h"
#include "telemetry/trace_id.h"
#include "test/harness/test.h"

static struct str request_header(const void *context, struct str name)
{
    const char *const *pairs = context;

    for (; pairs && *pairs; pairs += 2) {
        if (str_eq(name, str_of(pairs[0])))
            return str_of(pairs[1]);
    }
    return STR_NULL;
}

static const char *const headers[] = {"x-tenant", "tenant-a", "x-odd", "a\"b\nc\\\x80", NULL};

static const struct str san_names[] = {STR("spiffe://a/b"), STR("second\n")};
static const struct access_peer peer = {
    .subject = STR("CN=\"a"),
    .hash = STR("00ff"),
    .certificate = STR("-----BEGIN%20"),
    .uris = san_names,
    .dns_names = san_names,
    .local_uris = san_names,
    .n_uris = 2,
    .n_dns_names = 1,
    .n_local_uris = 1,
};

static uint64_t bytes_of(const void *context, enum access_headers which)
{
    (void)context;
    return 100 + (uint64_t)which;
}

static const struct access_cost costs[] = {{STR("llm_input_token"), 50}};

static struct access_record record(void)
{
    return (struct access_record){
        .start_wall_us = 1767323045678901, /* 2026-01-02T03:04:05.678901Z */
        .method = STR("POST"),
        .path = STR("/v1/models/iris:predict"),
        .query = STR("a=1"),
        .original_path = STR("/v1/models/iris%3Apredict?a=1"),
        .protocol = STR("HTTP/1.1"),
        .status = 200,
        .details = STR("via_upstream"),
        .flags = STR("-"),
        .bytes_received = 12,
        .bytes_sent = 3456,
        .duration_us = 7890,
        .ai_service = STR("play/b"),
        .model_override = STR("iris-2"),
        .points_us = {0, 1100, 2200, 3300, 5600, 6600, 7700, 7890},
        .pool_us = 1900,
        .upstream_protocol = STR("HTTP/2"),
        .upstream_tls_version = STR("TLSv1.2"),
        .upstream_tls_cipher = STR("ECDHE-X"),
        .listener_name = STR("ns/gw/http"),
        .tls_failure = STR("no"),
        .tls_version = STR("TLSv1.3"),
        .tls_cipher = STR("TLS_AES_128_GCM_SHA256"),
        .peer = &peer,
        .connection_id = 77,
        .headers_bytes = bytes_of,
        .upstream_us = 5100,
        .has_upstream = true,
        .n_attempts = 1,
        .upstream_host = STR("127.0.0.1:8080"),
        .upstream_local = STR("127.0.0.1:4444"),
        .upstream_cluster = STR("Service/a/b:80"),
        .upstream_failure = STR("why"),
        .termination = STR("ended"),
        .route_name = STR("httproute/ns/r/rule/0"),
        .remote = STR("10.0.0.1:5555"),
        .remote_ip = STR("10.0.0.1"),
        .local = STR("10.0.0.2:80"),
        .server_name = STR("sni.example"),
        .authority = STR("h.example"),
        .user_agent = STR("curl/8"),
        .forwarded_for = STR("1.2.3.4"),
        .request_id = STR("id-1"),
        .tenant = STR("tenant-a"),
        .model = STR("iris"),
        .subject = STR("user-a"),
        .tokens_in = 5,
        .tokens_cached = LOG_TOKENS_UNKNOWN,
        .tokens_out = LOG_TOKENS_UNKNOWN,
        .tokens_reasoning = LOG_TOKENS_UNKNOWN,
        .tokens_total = 9,
        .tokens_source = STR("provider"),
        .first_token_us = 12999,
        .costs = costs,
        .n_costs = N_ELEMENTS(costs),
        .context = headers,
        .request_header = request_header,
        .response_header = request_header,
        .response_trailer = request_header,
    };
}

/* The line without its line feed. */
static struct str line_of(const struct log_format *f, const struct access_record *r,
                          struct buf *out)
{
    buf_clear(out);
    log_format_line(f, r, out);
    CHECK(out->len > 0 && out->ptr[out->len - 1] == '\n');
    out->len--;
    return buf_str(out);
}

static void check_text(const char *format, const struct access_record *r, const char *expected)
{
    struct arena a;
    struct buf out = {0};
    const struct log_format *f;
    struct log_format_error error;

    arena_init(&a, 4096);
    CHECK_MSG(log_format_new_text(&a, str_of(format), &f, &error) == 0, "%s: %s", format,
              error.text);
    struct str line = line_of(f, r, &out);

    CHECK_MSG(str_eq(line, str_of(expected)), "%s gave %.*s, expected %s", format, STR_ARG(line),
              expected);
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(status_of_grpc_is_spelt_as_asked)
{
    struct access_record r = record();

    check_text("%GRPC_STATUS% %GRPC_STATUS_NUMBER%", &r, "- -"); /* no call of gRPC */
    r.has_grpc_status = true;
    r.grpc_status = 7;
    r.grpc_camel = STR("PermissionDenied");
    r.grpc_snake = STR("PERMISSION_DENIED");
    check_text("%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS()%", &r,
               "PermissionDenied PermissionDenied PermissionDenied");
    check_text("%GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", &r,
               "PERMISSION_DENIED 7 7");
    r.grpc_status = 99; /* has no name */
    r.grpc_camel = r.grpc_snake = STR("");
    check_text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)%", &r, "99 99");
}

static const struct {
    const char *format, *expected;
} facts[] = {
    {"%START_TIME%", "2026-01-02T03:04:05.678Z"},
    {"%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%", "2026/01/02 03:04:05.678"},
    {"%START_TIME(%s.%6f|%f|%%s)%", "1767323045.678901|678901000|%s"},
    {"%REQ(:METHOD)%", "POST"},
    {"%REQ(:PATH)%", "/v1/models/iris:predict?a=1"},
    {"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/v1/models/iris%3Apredict?a=1"},
    {"%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/v1/models/iris%3Apredict"},
    {"%REQ(:AUTHORITY)% %REQ(Host)%", "h.example h.example"},
    {"%REQ(USER-AGENT)%", "curl/8"},
    {"%REQ(:SCHEME)%", "https"},
    {"%REQ(USER-AGENT):4%", "curl"},
    {"%REQ(x-tenant)%", "tenant-a"},
    {"%REQ(X-MISSING?X-TENANT):6%", "tenant"},
    {"%REQ(X-MISSING)%", "-"},
    {"%REQ(X-MODEL)% %REQ(X-AI-EG-MODEL)% %REQ(X-JWT-SUB)%", "iris iris user-a"},
    {"%RESP(X-TENANT)%%TRAILER(X-TENANT)%", "tenant-atenant-a"},
    {"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "5"},
    {"%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS%", "HTTP/1.1 200 via_upstream"},
    {"%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS%", "- ended"},
    {"%BYTES_RECEIVED% %BYTES_SENT% %DURATION%", "12 3456 7"},
    {"%REQUEST_DURATION% %REQUEST_TX_DURATION%", "1 3"},
    {"%RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "5 2"},
    {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "7890"},
    {"%COMMON_DURATION(US_TX_BEG:US_RX_END:ms)%", "4"},
    {"%COMMON_DURATION(US_TX_END:US_TX_BEG:ns)%", "-1100000"},
    {"%COMMON_DURATION(DS_RX_END:DS_TX_BEG:us)%", "6600"},
    {"%COMMON_DURATION(DS_RX_END:US_RX_BEG:ms)%", "4"},
    {"%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "1"},
    {"%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "100 101 102"},
    {"%UPSTREAM_PROTOCOL% %UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER%", "HTTP/2 TLSv1.2 ECDHE-X"},
    {"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "127.0.0.1 8080"},
    {"%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%", "127.0.0.1 4444"},
    {"%UPSTREAM_CLUSTER_RAW% %FILTER_CHAIN_NAME%", "Service/a/b:80 ns/gw/http"},
    {"%DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%", "5555 5555"},
    {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1"},
    {"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", "10.0.0.2 80"},
    {"%CONNECTION_ID% %ACCESS_LOG_TYPE%", "77 DownstreamEnd"},
    {"%DOWNSTREAM_TRANSPORT_FAILURE_REASON%", "no"},
    {"%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER%", "TLSv1.3 TLS_AES_128_GCM_SHA256"},
    {"%DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_FINGERPRINT_256%", "CN=\\\"a 00ff"},
    {"%DOWNSTREAM_PEER_URI_SAN%", "spiffe://a/b,second\\x0a"},
    {"%DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_LOCAL_URI_SAN%", "spiffe://a/b spiffe://a/b"},
    {"%DOWNSTREAM_PEER_CERT%", "-----BEGIN%20"},
    {"%RESPONSE_FLAGS_LONG%", "-"},
    {"%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "via_upstream"},
    {"%EMIT_TIME% %EMIT_TIME(%6f)%", "2026-01-02T03:04:05.686Z 686791"},
    {"%PATH% %PATH(WQ)%", "/v1/models/iris%3Apredict?a=1 /v1/models/iris%3Apredict?a=1"},
    {"%PATH(NQ:ORIG)% %PATH(NQ:PATH):3%", "/v1/models/iris%3Apredict /v1"},
    {"%PATH(:PATH)%", "/v1/models/iris:predict?a=1"},
    {"%QUERY_PARAM(a)% %QUERY_PARAM(b)%", "1 -"},
    {"%METADATA(DYNAMIC:tollgate:tenant)%", "tenant-a"},
    {"%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS%", "127.0.0.1:8080 127.0.0.1:8080"},
    {"%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_CLUSTER%", "127.0.0.1:4444 Service/a/b:80"},
    {"%UPSTREAM_TRANSPORT_FAILURE_REASON%", "why"},
    {"%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "1"},
    {"%ROUTE_NAME%", "httproute/ns/r/rule/0"},
    {"%DOWNSTREAM_REMOTE_ADDRESS%", "10.0.0.1:5555"},
    {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1"},
    {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.0.0.1:5555"},
    {"%DOWNSTREAM_LOCAL_ADDRESS%", "10.0.0.2:80"},
    {"%REQUESTED_SERVER_NAME%", "sni.example"},
    {"%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)%", "50"},
    {"%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_output_token)%", "-"},
    {"%DYNAMIC_METADATA(tollgate:tokens_in)%", "5"},
    {"%DYNAMIC_METADATA(tollgate:tokens_out)%", "-"},
    {"%DYNAMIC_METADATA(tollgate:tokens_source)%", "provider"},
    {"%DYNAMIC_METADATA(other:thing)%", "-"},
    {"%DYNAMIC_METADATA(io.envoy.ai_gateway:backend_name)%", "play/b"},
    {"%DYNAMIC_METADATA(io.envoy.ai_gateway:model_name_override)%", "iris-2"},
    {"%DYNAMIC_METADATA(tollgate:tenant)%", "tenant-a"},
    {"%DYNAMIC_METADATA(tollgate:jwt_sub):4%", "user"},
    {"%DYNAMIC_METADATA(tollgate:model)%", "iris"},
    {"100%% [%PROTOCOL%]\n", "100% [HTTP/1.1]"},
    {"", ""},
};

TEST(each_operator_prints_its_fact)
{
    struct access_record r = record();

    for (size_t i = 0; i < N_ELEMENTS(facts); i++)
        check_text(facts[i].format, &r, facts[i].expected);
}

TEST(a_header_that_the_record_holds_has_alternatives_and_namesakes)
{
    struct access_record r = record();

    check_text("%REQ(USER-AGENT?X-TENANT)% %RESP(USER-AGENT)% %TRAILER(HOST)%", &r, "curl/8 - -");
    check_text("%REQ_WITHOUT_QUERY(USER-AGENT)%", &r, "curl/8");
    r.user_agent = STR("");
    check_text("%REQ(USER-AGENT?X-FORWARDED-FOR)% %REQ(USER-AGENT?X-TENANT)%", &r,
               "1.2.3.4 tenant-a");
    r.user_agent = STR("a?b");
    check_text("%REQ_WITHOUT_QUERY(USER-AGENT)% %REQ(USER-AGENT)%", &r, "a a?b");
}

TEST(text_around_operators_is_whole_at_every_length)
{
    enum { LENGTHS = 50 };
    static const char pattern[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    struct access_record r = record();

    for (int len = 0; len < LENGTHS; len++) {
        char format[4 * LENGTHS], expected[4 * LENGTHS];

        snprintf(format, sizeof format, "%.*s%%PROTOCOL%%%.*s%%REQ(X-NONE)%%%.*s", len, pattern,
                 LENGTHS - len, pattern + 5, len / 2, pattern);
        snprintf(expected, sizeof expected, "%.*sHTTP/1.1%.*s-%.*s", len, pattern, LENGTHS - len,
                 pattern + 5, len / 2, pattern);
        check_text(format, &r, expected);
    }
}

TEST(every_operator_has_a_row_above)
{
    /* A format of all of them, taken from the table itself, compiles and runs. */
    struct access_record r = record();
    struct access_record nothing = {0};
    struct arena a;
    struct buf out = {0};
    const struct log_format *f;
    struct log_format_error error;

    arena_init(&a, 4096);
    for (unsigned i = 0; i < LOG_OP_COUNT_; i++) {
        const struct log_operator_row *row = &log_operator_rows[i];
        const char *argument = i == LOG_OP_COMMON_DURATION           ? "(DS_RX_BEG:DS_TX_END:ms)"
                               : i == LOG_OP_METADATA                ? "(DYNAMIC:a:b)"
                               : row->argument == LOG_NEEDS_ARGUMENT ? "(a:b)"
                                                                     : "";
        struct str text = arena_printf(&a, "%%%.*s%s%%", STR_ARG(row->name), argument);

        CHECK_MSG(log_format_new_text(&a, text, &f, &error) == 0, "%s", error.text);
        CHECK(line_of(f, &r, &out).len > 0);
        CHECK(line_of(f, &nothing, &out).len > 0);
    }
    buf_clear(&out);
    log_format_docs(&out);
    CHECK(str_find(buf_str(&out), STR("| `%ROUTE_NAME%` | none |")) >= 0);
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(a_detected_client_stands_in_for_the_peer)
{
    struct access_record r = record();

    r.remote = STR("[2001:db8::1]:99");
    r.remote_ip = STR("2001:db8::1");
    check_text("%DOWNSTREAM_REMOTE_ADDRESS%", &r, "[2001:db8::1]:99");
    r.remote_ip = STR("198.51.100.7");
    check_text("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", &r,
               "198.51.100.7 [2001:db8::1]:99");
    /* Not the peer, although its address begins alike. */
    r.remote = STR("10.0.0.10:5555");
    r.remote_ip = STR("10.0.0.1");
    check_text("%DOWNSTREAM_REMOTE_ADDRESS%", &r, "10.0.0.1");
    r.remote = STR("[2001:db8::1:2]:99");
    r.remote_ip = STR("2001:db8::1");
    check_text("%DOWNSTREAM_REMOTE_ADDRESS%", &r, "2001:db8::1");
}

TEST(addresses_come_apart)
{
    struct access_record r = record();

    r.remote = STR("[2001:db8::1]:99");
    r.remote_ip = STR("2001:db8::1");
    check_text("%DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", &r,
               "99 2001:db8::1");
    r.remote_ip = STR("2001:db8::7"); /* as detected: its port is nobody's */
    check_text("%DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%", &r, "- 99");
    r.upstream_host = STR("");
    check_text("%UPSTREAM_REMOTE_PORT% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", &r, "- -");
}

TEST(what_never_happened_took_no_time)
{
    struct access_record r = record();

    r.points_us[ACCESS_US_RX_BEG] = r.points_us[ACCESS_US_TX_END] = ACCESS_NEVER;
    r.pool_us = ACCESS_NEVER;
    r.peer = NULL;
    check_text("%RESPONSE_DURATION% %RESPONSE_TX_DURATION% %REQUEST_TX_DURATION%", &r, "- - -");
    check_text("%UPSTREAM_CONNECTION_POOL_READY_DURATION% %DOWNSTREAM_PEER_SUBJECT%", &r, "- -");
    check_text("%COMMON_DURATION(US_RX_BEG:DS_TX_END:us)%", &r, "-");
}

TEST(flags_have_words)
{
    struct access_record r = record();

    r.flags = STR("UF,URX");
    check_text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", &r,
               "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded");
}

TEST(the_environment_is_read_once_and_keeps_its_secrets)
{
    struct access_record r = record();
    char host[256] = "";

    setenv("LOG_TEST_POD", "pod\n1", 1);
    setenv("LOG_TEST_API_KEY", "sk-1", 1);
    setenv("LOG_TEST_MY_KEY", "sk-2", 1);
    check_text("%ENVIRONMENT(LOG_TEST_POD)% %ENVIRONMENT(LOG_TEST_POD):3%", &r, "pod\\x0a1 pod");
    check_text("%ENVIRONMENT(LOG_TEST_API_KEY)% %ENVIRONMENT(LOG_TEST_MY_KEY)%", &r,
               "redacted redacted");
    check_text("%ENVIRONMENT(LOG_TEST_NONE)%", &r, "-");
    CHECK_INT(gethostname(host, sizeof host - 1), 0);
    check_text("%HOSTNAME%", &r, host);
}

TEST(a_query_parameter_that_is_a_secret_is_none_for_a_log)
{
    struct access_record r = record();

    r.original_path = STR("/p?a=1&token=x&b=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln&c&d=%22\"");
    check_text("%QUERY_PARAM(a)%|%QUERY_PARAM(token)%|%QUERY_PARAM(b)%|%QUERY_PARAM(c)%|"
               "%QUERY_PARAM(d)%",
               &r, "1|redacted|redacted|-|%22\\\"");
}

static const char evil[] = "\"}\n{\"status\":200}\r\x01\x7f\x80\xff\xc3\xa9\\";
static const struct str evil_names[] = {{evil, sizeof evil - 1}};
static const char *const evil_headers[] = {"a", evil, "a:b", evil, NULL};
static const struct access_peer evil_peer = {{evil, sizeof evil - 1},
                                             {evil, sizeof evil - 1},
                                             {evil, sizeof evil - 1},
                                             evil_names,
                                             evil_names,
                                             evil_names,
                                             1,
                                             1,
                                             1};

static const size_t evil_fields[] = {
    offsetof(struct access_record, method),        offsetof(struct access_record, path),
    offsetof(struct access_record, query),         offsetof(struct access_record, original_path),
    offsetof(struct access_record, details),       offsetof(struct access_record, termination),
    offsetof(struct access_record, upstream_host), offsetof(struct access_record, remote),
    offsetof(struct access_record, remote_ip),     offsetof(struct access_record, server_name),
    offsetof(struct access_record, authority),     offsetof(struct access_record, user_agent),
    offsetof(struct access_record, forwarded_for), offsetof(struct access_record, request_id),
    offsetof(struct access_record, tenant),        offsetof(struct access_record, model),
    offsetof(struct access_record, subject),       offsetof(struct access_record, model_served),
    offsetof(struct access_record, route_name),    offsetof(struct access_record, upstream_failure),
};

/* Every operator that carries bytes of a client, a backend, a certificate or the environment. */
static const char *const carriers[] = {
    "REQ(:METHOD)",
    "REQ(:PATH)",
    "REQ(A)",
    "REQ(X-NONE?A)",
    "REQ(USER-AGENT)",
    "REQ(HOST)",
    "REQ(X-REQUEST-ID)",
    "REQ(X-FORWARDED-FOR)",
    "REQ(X-ENVOY-ORIGINAL-PATH)",
    "REQ(X-MODEL)",
    "REQ_WITHOUT_QUERY(A)",
    "REQ(A):5",
    "RESP(A)",
    "TRAILER(A)",
    "PATH",
    "PATH(NQ:PATH)",
    "QUERY_PARAM(a)",
    "RESPONSE_CODE_DETAILS",
    "CONNECTION_TERMINATION_DETAILS",
    "UPSTREAM_HOST",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "REQUESTED_SERVER_NAME",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "ROUTE_NAME",
    "DOWNSTREAM_PEER_SUBJECT",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DYNAMIC_METADATA(tollgate:tenant)",
    "DYNAMIC_METADATA(tollgate:model_served)",
    "METADATA(DYNAMIC:tollgate:jwt_sub):9",
    "ENVIRONMENT(LOG_TEST_EVIL)",
};

TEST(no_operator_can_forge_a_line)
{
    struct access_record r = record();
    struct buf out = {0};
    struct arena a;

    setenv("LOG_TEST_EVIL", evil, 1);
    for (size_t i = 0; i < N_ELEMENTS(evil_fields); i++)
        memcpy((char *)&r + evil_fields[i], &evil_names[0], sizeof evil_names[0]);
    r.original_path = STR("/?a=\"\n\x80");
    r.peer = &evil_peer;
    r.context = evil_headers;
    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(carriers); i++) {
        struct str values[2] = {arena_printf(&a, "%%%s%%", carriers[i]),
                                arena_printf(&a, "<%%%s%%>", carriers[i])};
        const struct log_format *f;
        struct log_format_error error;
        struct str line;

        CHECK_MSG(log_format_new_text(&a, values[1], &f, &error) == 0, "%s", error.text);
        line = line_of(f, &r, &out);
        CHECK_MSG(line.len > 3, "%s", carriers[i]);
        for (size_t k = 0; k < line.len; k++) {
            CHECK_MSG(line.ptr[k] >= 0x20 && line.ptr[k] < 0x7f, "%s at %zu", carriers[i], k);
            CHECK_MSG(line.ptr[k] != '"' || line.ptr[k - 1] == '\\', "%s at %zu", carriers[i], k);
        }
        CHECK(log_format_new_json(&a, san_names, values, 2, &f, &error) == 0);
        line = line_of(f, &r, &out);
        size_t n_quotes = 0;

        for (size_t k = 0; k < line.len; k++) {
            CHECK_MSG((unsigned char)line.ptr[k] >= 0x20 && line.ptr[k] != 0x7f, "%s: %.*s",
                      carriers[i], STR_ARG(line));
            if (line.ptr[k] == '\\')
                k++;
            else
                n_quotes += line.ptr[k] == '"';
        }
        CHECK_MSG(n_quotes == 8, "%s: %.*s", carriers[i], STR_ARG(line));
    }
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(a_header_cannot_forge_a_line)
{
    struct access_record r = record();

    check_text("\"%REQ(X-ODD)%\"", &r, "\"a\\\"b\\x0ac\\\\\\x80\"");
    r.user_agent = STR("x\r\n[forged]\t\x7f");
    check_text("%REQ(USER-AGENT)%", &r, "x\\x0d\\x0a[forged]\\x09\\x7f");
}

/* A request must not be able to make its own line too long to be kept. */
TEST(what_would_make_a_line_too_long_is_cut_and_the_rest_stands)
{
    static char huge[60000];
    const char *const huge_headers[] = {"a", huge, NULL};
    const struct str names[] = {STR("agent"), STR("again"), STR("status"), STR("path")};
    const struct str values[] = {STR("%REQ(USER-AGENT)%"), STR("<%REQ(A)%>"),
                                 STR("%RESPONSE_CODE%"), STR("%REQ(:PATH)%")};
    struct access_record r = record();
    struct buf out = {0};
    struct arena a;
    const struct log_format *f;
    struct log_format_error error;
    struct str line;

    memset(huge, 0x80, sizeof huge - 1);
    r.user_agent = str_of(huge);
    r.context = huge_headers;
    arena_init(&a, 4096);
    CHECK(log_format_new_json(&a, names, values, N_ELEMENTS(names), &f, &error) == 0);
    log_format_line(f, &r, &out);
    line = buf_str(&out);
    CHECK(line.len <= LIMIT_LOG_LINE_BYTES && line.len > LIMIT_LOG_LINE_BYTES * 2 / 5);
    CHECK(str_starts_with(line, STR("{\"agent\":\"\\ufffd\\ufffd")));
    CHECK(str_find(line, STR("\\ufffd\",\"again\":\"<\\ufffd")) > LIMIT_LOG_LINE_BYTES / 8);
    CHECK(str_ends_with(line, STR("\\ufffd>\",\"status\":200,"
                                  "\"path\":\"/v1/models/iris:predict?a=1\"}\n")));

    buf_clear(&out);
    CHECK(log_format_new_text(&a, STR("%REQ(USER-AGENT)% \"%REQ(A)%\" %RESPONSE_CODE%"), &f,
                              &error) == 0);
    log_format_line(f, &r, &out);
    line = buf_str(&out);
    CHECK(line.len <= LIMIT_LOG_LINE_BYTES && line.len > LIMIT_LOG_LINE_BYTES * 2 / 5);
    CHECK(str_find(line, STR("\\x80 \"\\x80")) > 0 && str_ends_with(line, STR("\\x80\" 200\n")));

    /* What fits is whole. */
    r.user_agent = str_make(huge, 20000);
    buf_clear(&out);
    CHECK(log_format_new_text(&a, STR("%REQ(USER-AGENT)%"), &f, &error) == 0);
    log_format_line(f, &r, &out);
    CHECK_INT(out.len, 80001);
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(a_format_leaves_room_for_its_values)
{
    static char text[LIMIT_LOG_FORMAT_BYTES];
    const struct str name = str_make(text, sizeof text - 1), value = {text, 0};
    const struct log_format *f;
    struct log_format_error error;
    struct arena a;

    memset(text, 1, sizeof text); /* each \u0001 in JSON */
    arena_init(&a, 4096);
    CHECK(log_format_new_text(&a, name, &f, &error) == 0);
    CHECK_INT(log_format_new_json(&a, &name, &value, 1, &f, &error), LOG_FORMAT_BAD);
    CHECK(str_starts_with(str_of(error.text), STR("the format is too long")));
    arena_deinit(&a);
}

TEST(json_keeps_types_and_order)
{
    static const struct str names[] = {{"b", 1}, {"a\"q", 3}, {"n", 1}, {"m", 1}, {"mix", 3}};
    static const struct str values[] = {
        {"%RESPONSE_CODE%", 15},
        {"%REQ(X-ODD)%", 12},
        {"%REQ(X-NONE)%", 13},
        {"plain \"x\"", 9},
        {"%PROTOCOL% %REQ(X-ODD)% %REQ(X-NONE)%", 37},
    };
    struct access_record r = record();
    struct arena a;
    struct buf out = {0};
    const struct log_format *f;
    struct log_format_error error;

    arena_init(&a, 4096);
    CHECK(log_format_new_json(&a, names, values, N_ELEMENTS(names), &f, &error) == 0);
    CHECK_STR(
        line_of(f, &r, &out),
        "{\"b\":200,\"a\\\"q\":\"a\\\"b\\nc\\\\\\ufffd\",\"n\":null,\"m\":\"plain \\\"x\\\"\","
        "\"mix\":\"HTTP/1.1 a\\\"b\\nc\\\\\\ufffd -\"}");
    CHECK(log_format_new_json(&a, names, values, 0, &f, &error) == 0);
    CHECK_STR(line_of(f, &r, &out), "{}");
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(metadata_that_nobody_here_knows_is_found)
{
    const struct log_format *f;
    struct log_format_error error;
    struct arena a;
    struct str name, cost;
    size_t at = 0;

    arena_init(&a, 4096);
    CHECK(log_format_new_text(&a,
                              STR("%DYNAMIC_METADATA(tollgate:tenant)% %PROTOCOL%"
                                  "%DYNAMIC_METADATA(a.b:c:d)% %METADATA(DYNAMIC:e:f)%"
                                  "%DYNAMIC_METADATA(io.envoy.ai_gateway:mine)%"
                                  "%DYNAMIC_METADATA(io.envoy.ai_gateway:backend_name)%"),
                              &f, &error) == 0);
    CHECK(log_format_next_metadata(f, &at, &name, &cost) && cost.len == 0);
    CHECK_STR(name, "a.b:c:d");
    CHECK(log_format_next_metadata(f, &at, &name, &cost) && cost.len == 0);
    CHECK_STR(name, "e:f");
    CHECK(log_format_next_metadata(f, &at, &name, &cost));
    CHECK_STR(cost, "mine");
    CHECK(!log_format_next_metadata(f, &at, &name, &cost));
    at = 0;
    CHECK(!log_format_next_metadata(log_format_default(), &at, &name, &cost));
    arena_deinit(&a);
}

TEST(the_default_is_json_with_the_usual_names)
{
    struct access_record r = record();
    struct buf out = {0};
    struct str line = line_of(log_format_default(), &r, &out);

    CHECK(str_starts_with(line, STR("{\"start_time\":\"2026-01-02T03:04:05.678Z\","
                                    "\"method\":\"POST\",\"x-envoy-origin-path\":"
                                    "\"/v1/models/iris%3Apredict?a=1\"")));
    CHECK(str_find(line, STR("\"response_code\":200,\"response_flags\":\"-\"")) > 0);
    CHECK(str_find(line, STR("\"x-envoy-upstream-service-time\":\"5\"")) > 0);
    CHECK(str_ends_with(line, STR("\"tenant\":\"tenant-a\",\"model\":\"iris\",\"jwt_sub\":"
                                  "\"user-a\",\"tokens_in\":5,\"tokens_total\":9,"
                                  "\"tokens_source\":\"provider\",\"first_token_ms\":12,"
                                  "\"ai_service\":\"play/b\",\"attempts\":1}")));
    CHECK(log_format_default() == log_format_default());
    buf_deinit(&out);
}

TEST(the_default_does_not_believe_what_a_client_wrote)
{
    struct access_record r = record();
    struct buf out = {0};

    r.tenant = r.model = r.subject = STR_NULL; /* and the client brings x-tenant */
    r.route_name = STR_NULL;
    struct str line = line_of(log_format_default(), &r, &out);

    CHECK(str_find(line, STR("\"route_name\":null,\"tokens_in\":5,")) > 0);
    CHECK(str_find(line, STR("\"tenant\"")) < 0 && str_find(line, STR("\"model\"")) < 0 &&
          str_find(line, STR("\"jwt_sub\"")) < 0);
    buf_deinit(&out);
}

TEST(mistakes_are_named_at_their_column)
{
    static const struct {
        const char *format;
        uint32_t column;
        const char *word;
    } rows[] = {
        {"[%START_TIM%]", 2, "unknown operator: START_TIM"},
        {"abc %CEL(x)%", 5, "operator that is not supported here: CEL"},
        {"%UPSTREAM_WIRE_BYTES_SENT%", 1, "operator that is not supported here: UPSTREAM_WIRE_"},
        {"%UPSTREAM_HOSTT%", 1, "unknown operator: UPSTREAM_HOSTT"},
        {"%PATH(X)%", 1, "malformed argument"},
        {"%PATH(WQ:HERE)%", 1, "malformed argument"},
        {"%COMMON_DURATION(DS_RX_BEG)%", 1, "malformed argument"},
        {"%COMMON_DURATION(DS_RX_BEG:US_CX_END:ms)%", 1, "malformed argument"},
        {"%COMMON_DURATION(DS_RX_BEG:DS_RX_END:s)%", 1, "malformed argument"},
        {"%METADATA(ROUTE:a:b)%", 1, "malformed argument"},
        {"%RESPONSE_CODE_DETAILS(x)%", 1, "malformed argument"},
        {"%REQ%", 1, "needs an argument"},
        {"%REQ()%", 1, "needs an argument"},
        {"%REQ(a?)%", 1, "malformed argument"},
        {"%PROTOCOL(x)%", 1, "takes no argument"},
        {"%REQ(a%", 4, "not closed"},
        {"x %PROTOCOL", 2, "percent sign"},
        {"%", 0, "percent sign"},
        {"%PROTOCOL:3%", 1, "length"},
        {"%REQ(a):0%", 1, "length"},
        {"%REQ(a):x%", 1, "length"},
        {"%DYNAMIC_METADATA(nocolon)%", 1, "malformed argument"},
        {"%GRPC_STATUS(HEX)%", 1, "malformed argument"},
        {"%GRPC_STATUS_NUMBER(NUMBER)%", 1, "takes no argument"},
        {"%protocol%", 1, "unknown operator: protocol"},
    };
    struct arena a;
    const struct log_format *f;
    struct log_format_error error;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        CHECK_MSG(log_format_new_text(&a, str_of(rows[i].format), &f, &error) == LOG_FORMAT_BAD,
                  "%s was accepted", rows[i].format);
        CHECK_MSG(strstr(error.text, rows[i].word), "%s: %s", rows[i].format, error.text);
        CHECK_MSG(error.column == rows[i].column, "%s: column %u", rows[i].format, error.column);
    }
    static const struct str names[] = {{"a", 1}, {"b", 1}};
    static const struct str values[] = {{"%PROTOCOL%", 10}, {"x %NO%", 6}};

    CHECK(log_format_new_json(&a, names, values, 2, &f, &error) == LOG_FORMAT_BAD);
    CHECK_INT(error.index, 1);
    CHECK_INT(error.column, 3);
    arena_deinit(&a);
}

TEST(credentials_never_reach_a_log)
{
    static const char token[] = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    static const char *const secrets[] = {"authorization",
                                          "Bearer abc",
                                          "cookie",
                                          "sid=1",
                                          "x-api-key",
                                          "k",
                                          "x-custom",
                                          "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
                                          "referer",
                                          "https://a/b?c=d&token=e&f=g#h",
                                          "location",
                                          "https://a/callback#access_token=b&state=c",
                                          NULL};
    struct access_record r = record();

    r.context = secrets;
    check_text("%REQ(Referer)% %REQ(X-NONE?REFERER):12%", &r,
               "https://a/b?c=d&token=redacted&f=g https://a/b?");
    check_text("%RESP(LOCATION)% %RESP(CONTENT-LOCATION)%", &r, "https://a/callback -");
    check_text("%REQ(AUTHORIZATION)% %REQ(Cookie)% %REQ(X-API-KEY)%", &r,
               "redacted redacted redacted");
    check_text("%REQ(X-CUSTOM)%", &r, "redacted");
    check_text("%REQ(X-BACKEND-AUTHORIZATION)%", &r, "-");
    r.user_agent = str_of(token);
    check_text("%REQ(USER-AGENT)%", &r, "redacted");
    r.original_path = STR("/p?a=1&access_token=abc&b=2&x=eyJhbGciOi.eyJ.zz0123456789");
    check_text("%REQ(X-ENVOY-ORIGINAL-PATH)%", &r, "/p?a=1&access_token=redacted&b=2&x=redacted");
    r.query = STR("api_key=abc");
    check_text("%REQ(:PATH)%", &r, "/v1/models/iris:predict?api_key=redacted");
    CHECK(!log_redact_is_secret_name(STR("x-tenant")));
    CHECK(!log_redact_has_token(STR_NULL)); /* of a request that never had a target */
    CHECK(!log_redact_has_token(STR("eyJ but no dots in this text")));
    CHECK(!log_redact_has_token(STR("J.J.JyJ.eJ.eyj.a.b.c.d.ey")));
    CHECK(!log_redact_has_token(STR("a.b.c.d.e.f.g.h then eyJ")));
    CHECK(log_redact_has_token(STR("JJ eJ yJ eyJ then a dot . and another .")));
    CHECK(log_redact_has_token(STR("eyJ.eyJ...............")));
    CHECK(!log_redact_has_token(STR(".. eyJeyJeyJeyJeyJeyJ")));
}

TEST(credentials_in_targets_are_found_wherever_they_stand)
{
#define TOKEN "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
    static const struct {
        const char *target, *expected;
    } rows[] = {
        {"/a/" TOKEN, "redacted"},
        {"/a/" TOKEN "?b=1", "redacted?b=1"},
        {"/a?" TOKEN, "/a?redacted"},
        {"/a?" TOKEN "=1&b=2", "/a?redacted&b=2"},
        {"/a?x&b=" TOKEN "&c", "/a?x&b=redacted&c"},
        {"/v1beta/models/g:generateContent?key=AIza&alt=sse",
         "/v1beta/models/g:generateContent?key=redacted&alt=sse"},
        {"/a?KEY=1&sig=2&monkey=3", "/a?KEY=redacted&sig=redacted&monkey=3"},
        {"/a?subscription-key=1", "/a?subscription-key=redacted"},
        {"/a?access%5ftoken=1&%6Bey=2", "/a?access%5ftoken=redacted&%6Bey=redacted"},
        {"/a?a%=1&%zz=2&b%4", "/a?a%=1&%zz=2&b%4"},
        {"/a?%41234567890123456789012345678901234567890123456789012345678901234567890-token=1",
         "/a?%41234567890123456789012345678901234567890123456789012345678901234567890-token="
         "redacted"},
        {"/a?", "/a?"},
        {"/a?&&=", "/a?&&="},
        {"/a", "/a"},
    };
    struct access_record r = record();

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        r.original_path = str_of(rows[i].target);
        check_text("%REQ(X-ENVOY-ORIGINAL-PATH)%", &r, rows[i].expected);
    }
#undef TOKEN
}

TEST(long_targets_with_secrets_are_cut_not_leaked)
{
    static char target[6000] = "/p?token=secret&x=";
    struct access_record r = record();
    struct buf out = {0};
    struct arena a;
    const struct log_format *f;
    struct log_format_error error;

    memset(target + strlen(target), 'y', sizeof target - strlen(target) - 1);
    arena_init(&a, 4096);
    CHECK(log_format_new_text(&a, STR("%REQ(X-ENVOY-ORIGINAL-PATH)%%REQ(:PATH)%"), &f, &error) ==
          0);
    r.original_path = str_of(target);
    r.query = str_of(target + 3);
    struct str line = line_of(f, &r, &out);

    CHECK(str_find(line, STR("secret")) < 0);
    CHECK(line.len < 2 * LOG_SCRATCH_BYTES + 100);
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(request_ids_are_random_uuids)
{
    struct random r;
    char one[TRACE_ID_UUID_BYTES], two[TRACE_ID_UUID_BYTES];

    random_init(&r);
    for (int i = 0; i < 1000; i++) {
        trace_id_uuid(&r, one);
        trace_id_uuid(&r, two);
        CHECK(strlen(one) == 36 && strcmp(one, two) != 0);
        CHECK(one[8] == '-' && one[13] == '-' && one[18] == '-' && one[23] == '-');
        CHECK(one[14] == '4' && strchr("89ab", one[19]));
        CHECK(strspn(one, "0123456789abcdef-") == 36);
    }
}
