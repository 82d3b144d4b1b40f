/* Decoding of the ways of authentication: JWT providers, API keys, basic credentials, external
 * authorization; with the further fields that the founding BackendSecurityPolicy gives to the last
 * two.
 *
 * Owner: the load's arena. Thread: compile thread. Key sets and passwords are not read here;
 * whether a Secret or backend exists is left to link. */
#include "manifest/part/authentication.h"

static bool is_url(struct str s)
{
    struct str rest = str_starts_with(s, STR("https://"))  ? str_slice(s, 8, s.len)
                      : str_starts_with(s, STR("http://")) ? str_slice(s, 7, s.len)
                                                           : STR_NULL;

    return rest.len > 0 && rest.ptr[0] != '/' && str_find_char(rest, ' ', 0) < 0;
}

/* What a fetch has no use for, or does not heed yet. */
static void warn_jwks_settings(struct decoder *d, const struct node *node,
                               const struct cluster_settings *s)
{
    const struct cluster_http_timeout *http = s && s->timeout ? s->timeout->http : NULL;
    const struct node *at = node_find(node, "backendSettings");

    if (s && s->retry && s->retry->num_attempts_per_priority.is_set)
        decode_warning(d, DIAG_NOT_ENFORCED, at, "backendSettings.retry.numAttemptsPerPriority",
                       "read but not enforced for a key set: its backends have no priorities");
    if (http && (http->max_stream_duration.is_set || http->stream_idle_timeout.is_set))
        decode_warning(d, DIAG_NOT_ENFORCED, at, "backendSettings.timeout.http",
                       "of a fetch's time limits only requestTimeout is enforced yet");
}

/* The API refuses these two in a key-set fetch; a fetch always has a limit of its own. */
static void check_jwks_retry(struct decoder *d, const struct node *node,
                             const struct cluster_settings *s)
{
    const struct cluster_retry *retry = s ? s->retry : NULL;
    const struct node *at = node_find(node_find(node, "backendSettings"), "retry");

    if (retry && retry->per_retry && retry->per_retry->timeout.is_set)
        decode_error(d, DIAG_INVALID_VALUE, at, "backendSettings.retry.perRetry.timeout",
                     "not allowed for a key set");
    if (retry && retry->retry_on && retry->retry_on->http_status_codes.n > 0)
        decode_error(d, DIAG_INVALID_VALUE, at, "backendSettings.retry.retryOn.httpStatusCodes",
                     "not allowed for a key set; use triggers");
}

static void jwt_remote_jwks_check(struct decoder *d, const struct node *node, void *object)
{
    const struct jwt_remote_jwks *r = object;

    if (r->uri.len > 0 && !is_url(r->uri))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "uri"), "uri",
                     "expected an http:// or https:// address, found \"%.*s\"", STR_ARG(r->uri));
    if (!node_is_null(node_find(node, "backendRef")))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "backendRef"), "backendRef",
                     "not allowed for a key set; use backendRefs");
    if (r->cache_duration.is_set && r->cache_duration.us == 0)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "cacheDuration"), "cacheDuration",
                     "must be more than nothing");
    check_max_items(d, node, "backendRefs", 16);
    if (r->backend_refs.n > 1)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "backendRefs"), "backendRefs",
                       "of a key set's backends only the first is used yet");
    check_jwks_retry(d, node, r->backend_settings);
    warn_jwks_settings(d, node, r->backend_settings);
}

static const struct field jwt_remote_jwks_fields[] = {
    FIELD_STR(jwt_remote_jwks, uri, "uri", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Address of the JSON Web Key Set."),
    FIELD_LIST(jwt_remote_jwks, backend_refs, "backendRefs", 0, backend_ref,
               "Where the address is reached; by its own host name unless given."),
    FIELD_OBJECT(jwt_remote_jwks, backend_settings, "backendSettings", 0, cluster_settings,
                 "Retries and time limits of the fetch."),
    FIELD_DURATION(jwt_remote_jwks, cache_duration, "cacheDuration", 0,
                   "Time within which the set is fetched again; 300s unless given."),
    FIELD_DURATION(jwt_remote_jwks, failed_refetch_duration, "failedRefetchDuration", 0,
                   "Pause after a fetch that failed with all its retries; 1s unless given."),
    FIELD_UNSUPPORTED("backendRef", "Not allowed for a key set; backendRefs."),
};
static const struct table jwt_remote_jwks_table =
    TABLE_CHECKED(jwt_remote_jwks, jwt_remote_jwks_check);

static const char *const jwks_source_names[] = {"Inline", "ValueRef", NULL};

static void jwt_local_jwks_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"inline", "valueRef"};
    struct jwt_local_jwks *l = object;

    if (l->type < 0)
        l->type = BODY_INLINE;
    check_union(d, node, l->type, jwks_source_names, keys, true);
    if (l->value_ref && !str_eq(l->value_ref->kind, STR("ConfigMap")))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "valueRef"), "valueRef.kind",
                     "only a ConfigMap can hold a key set");
}

static const struct field jwt_local_jwks_fields[] = {
    FIELD_ENUM(jwt_local_jwks, type, "type", 0, jwks_source_names,
               "Where the key set stands: here (Inline, default) or in a ConfigMap (ValueRef)."),
    FIELD_OTHER(jwt_local_jwks, inline_text, "inline", 0, decode_marked_text, NULL,
                "JSON Web Key Set."),
    FIELD_OBJECT(jwt_local_jwks, value_ref, "valueRef", 0, local_object_ref,
                 "ConfigMap whose key jwks, else whose first key, is the key set."),
};
static const struct table jwt_local_jwks_table =
    TABLE_CHECKED(jwt_local_jwks, jwt_local_jwks_check);

static const struct field jwt_claim_to_header_fields[] = {
    FIELD_OTHER(jwt_claim_to_header, header, "header", FIELD_REQUIRED, decode_header_name, NULL,
                "Header that carries the claim; the client's own is removed."),
    FIELD_STR(jwt_claim_to_header, claim, "claim", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Claim; nested ones by dots."),
};
static const struct table jwt_claim_to_header_table = TABLE(jwt_claim_to_header);

static const struct field jwt_header_source_fields[] = {
    FIELD_OTHER(jwt_header_source, name, "name", FIELD_REQUIRED, decode_header_name, NULL,
                "Header that holds the token."),
    FIELD_STR(jwt_header_source, value_prefix, "valuePrefix", 0,
              "Text before the token, such as \"Bearer \"."),
};
static const struct table jwt_header_source_table = TABLE(jwt_header_source);

static const struct field jwt_extract_from_fields[] = {
    FIELD_LIST(jwt_extract_from, headers, "headers", 0, jwt_header_source, "Headers."),
    FIELD_STRS(jwt_extract_from, cookies, "cookies", 0, "Cookies."),
    FIELD_STRS(jwt_extract_from, params, "params", 0, "Query parameters."),
};
static const struct table jwt_extract_from_table = TABLE(jwt_extract_from);

static void jwt_provider_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"remoteJWKS", "localJWKS", NULL};
    const struct jwt_provider_spec *p = object;

    check_exactly_one(d, node, keys);
    check_max_items(d, node, "audiences", 8);
    if (p->recompute_route.value && p->claim_to_headers.n == 0)
        decode_error(d, DIAG_MISSING_FIELD, node, "claimToHeaders", "required with recomputeRoute");
}

static const struct field jwt_provider_spec_fields[] = {
    FIELD_STR(jwt_provider_spec, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Name of the provider, unique in the policy."),
    FIELD_STR(jwt_provider_spec, issuer, "issuer", 0,
              "The token's iss must equal it; not checked unless given."),
    FIELD_STRS(jwt_provider_spec, audiences, "audiences", 0,
               "The token's aud must hold one of these; not checked unless given."),
    FIELD_OBJECT(jwt_provider_spec, remote_jwks, "remoteJWKS", 0, jwt_remote_jwks,
                 "Key set that is fetched."),
    FIELD_OBJECT(jwt_provider_spec, local_jwks, "localJWKS", 0, jwt_local_jwks,
                 "Key set that stands in the manifests."),
    FIELD_LIST(jwt_provider_spec, claim_to_headers, "claimToHeaders", 0, jwt_claim_to_header,
               "Claims written into request headers."),
    FIELD_OBJECT(jwt_provider_spec, extract_from, "extractFrom", 0, jwt_extract_from,
                 "Where the token is looked for; Authorization: Bearer unless given."),
    FIELD_BOOL(jwt_provider_spec, recompute_route, "recomputeRoute", 0,
               "Without effect: each rule is matched with the headers of its own authentication."),
};
static const struct table jwt_provider_spec_table =
    TABLE_CHECKED(jwt_provider_spec, jwt_provider_check);

static void jwt_spec_check(struct decoder *d, const struct node *node, void *object)
{
    enum { PROVIDERS_MAX = 16 };
    const struct jwt_spec *j = object;

    check_max_items(d, node, "providers", PROVIDERS_MAX);
    for (size_t i = 0; i < MIN(j->providers.n, (size_t)PROVIDERS_MAX); i++) {
        for (size_t k = 0; k < i; k++) {
            if (str_eq(j->providers.items[i].name, j->providers.items[k].name))
                decode_error(d, DIAG_CONFLICT, node_find(node, "providers"), "providers",
                             "two providers have the name %.*s",
                             STR_ARG(j->providers.items[i].name));
        }
    }
}

static const struct field jwt_spec_fields[] = {
    FIELD_BOOL(jwt_spec, optional, "optional", 0,
               "Whether a request without a token passes; one with a bad token never does."),
    FIELD_LIST(jwt_spec, providers, "providers", FIELD_REQUIRED | FIELD_NON_EMPTY,
               jwt_provider_spec, "Issuers of tokens; alternatives."),
    FIELD_UNSUPPORTED("failOpen", "Passing of requests with a bad token; they are refused."),
};
const struct table jwt_spec_table = TABLE_CHECKED(jwt_spec, jwt_spec_check);

static void key_source_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"headers", "params", "cookies", NULL};

    (void)object;
    check_exactly_one(d, node, keys);
}

static const struct field key_source_fields[] = {
    FIELD_OTHER(key_source, headers, "headers", FIELD_NON_EMPTY, decode_header_name_list, NULL,
                "Headers, tried in this order."),
    FIELD_STRS(key_source, params, "params", FIELD_NON_EMPTY, "Query parameters."),
    FIELD_STRS(key_source, cookies, "cookies", FIELD_NON_EMPTY, "Cookies."),
};
static const struct table key_source_table = TABLE_CHECKED(key_source, key_source_check);

static const struct field api_key_auth_fields[] = {
    FIELD_LIST(api_key_auth, credential_refs, "credentialRefs", FIELD_REQUIRED | FIELD_NON_EMPTY,
               secret_ref, "Secrets whose keys are client ids and whose values are API keys."),
    FIELD_LIST(api_key_auth, extract_from, "extractFrom", FIELD_REQUIRED | FIELD_NON_EMPTY,
               key_source, "Where the key is looked for."),
    FIELD_OTHER(api_key_auth, forward_client_id_header, "forwardClientIDHeader", 0,
                decode_header_name, NULL, "Header that carries the client id."),
    FIELD_BOOL(api_key_auth, sanitize, "sanitize", 0,
               "Whether the key is kept from the backend; it is unless this is false."),
};
const struct table api_key_auth_table = TABLE(api_key_auth);

#define BASIC_AUTH_FIELDS                                                                          \
    FIELD_OBJECT(basic_auth, users, "users", FIELD_REQUIRED, secret_ref,                           \
                 "Secret whose key .htpasswd lists users and password hashes."),                   \
        FIELD_OTHER(basic_auth, forward_username_header, "forwardUsernameHeader", 0,               \
                    decode_header_name, NULL, "Header that carries the user name.")

static const struct field basic_auth_fields[] = {BASIC_AUTH_FIELDS};
const struct table basic_auth_table = TABLE(basic_auth);

static void founding_basic_auth_check(struct decoder *d, const struct node *node, void *object)
{
    struct basic_auth *b = object;

    (void)d;
    (void)node;
    if (b->credential_header.len == 0)
        b->credential_header = STR("x-backend-authorization");
}

static const struct field founding_basic_auth_fields[] = {
    BASIC_AUTH_FIELDS,
    FIELD_BOOL(basic_auth, match_tenant, "matchTenant", 0,
               "Whether the user name must equal the verified tenant, where there is one."),
    FIELD_OTHER(basic_auth, credential_header, "credentialHeader", 0, decode_header_name, NULL,
                "Header of the credentials where Authorization holds a token; "
                "x-backend-authorization unless given."),
    FIELD_BOOL(basic_auth, forward_credentials, "forwardCredentials", 0,
               "Whether the backend gets the credentials; it does not unless this is true."),
};
const struct table founding_basic_auth_table = {
    "founding_basic_auth", sizeof(struct basic_auth), founding_basic_auth_fields,
    N_ELEMENTS(founding_basic_auth_fields), founding_basic_auth_check};

static void warn_ext_auth_settings(struct decoder *d, const struct node *node,
                                   const struct cluster_settings *s)
{
    const struct cluster_http_timeout *http = s && s->timeout ? s->timeout->http : NULL;
    const struct node *at = node_find(node, "backendSettings");

    if (s && s->retry)
        decode_warning(d, DIAG_NOT_ENFORCED, at, "backendSettings.retry",
                       "read but not enforced for an authorizer yet");
    if (http && (http->request_timeout.is_set || http->max_stream_duration.is_set ||
                 http->stream_idle_timeout.is_set))
        decode_warning(d, DIAG_NOT_ENFORCED, at, "backendSettings.timeout.http",
                       "of a call's time limits only the timeout of extAuth is enforced");
}

static void ext_auth_server_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const refs[] = {"backendRef", "backendRefs", NULL};
    static const char *const paths[] = {"path", "pathOverride", NULL};
    struct ext_auth_server *s = object;

    warn_ext_auth_settings(d, node, s->backend_settings);
    check_exactly_one(d, node, refs);
    check_at_most_one(d, node, paths);
    check_max_items(d, node, "backendRefs", 16);
    if (s->backend_ref && s->backend_refs.n == 0)
        VEC_PUSH(d->arena, &s->backend_refs, *s->backend_ref);
    s->backend_ref = NULL; /* one place for each reference: link visits it once */
}

#define EXT_AUTH_SERVER_FIELDS                                                                     \
    FIELD_OBJECT(ext_auth_server, backend_ref, "backendRef", FIELD_DEPRECATED, backend_ref,        \
                 "The authorizer; older form of backendRefs."),                                    \
        FIELD_LIST(ext_auth_server, backend_refs, "backendRefs", FIELD_NON_EMPTY, backend_ref,     \
                   "The authorizer."),                                                             \
        FIELD_OBJECT(ext_auth_server, backend_settings, "backendSettings", 0, cluster_settings,    \
                     "Connections, bounds and health of the authorizer.")

static const struct field ext_auth_http_fields[] = {
    EXT_AUTH_SERVER_FIELDS,
    FIELD_STR(ext_auth_server, path, "path", 0, "Path put before the request's own."),
    FIELD_STR(ext_auth_server, path_override, "pathOverride", 0,
              "Path in the place of the request's own."),
    FIELD_OTHER(ext_auth_server, headers_to_backend, "headersToBackend", 0, decode_header_name_list,
                NULL, "Headers of the authorizer's answer that the backend gets."),
};
static const struct table ext_auth_http_table = {
    "ext_auth_http", sizeof(struct ext_auth_server), ext_auth_http_fields,
    N_ELEMENTS(ext_auth_http_fields), ext_auth_server_check};

static const struct field ext_auth_grpc_fields[] = {EXT_AUTH_SERVER_FIELDS};
static const struct table ext_auth_grpc_table = {
    "ext_auth_grpc", sizeof(struct ext_auth_server), ext_auth_grpc_fields,
    N_ELEMENTS(ext_auth_grpc_fields), ext_auth_server_check};

static const char *const context_type_names[] = {"Value", "ValueRef", NULL};

static void ext_auth_context_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"value", "valueRef"};
    struct ext_auth_context *c = object;

    if (c->type < 0)
        c->type = 0;
    check_union(d, node, c->type, context_type_names, keys, true);
}

static const struct field ext_auth_context_fields[] = {
    FIELD_STR(ext_auth_context, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name."),
    FIELD_ENUM(ext_auth_context, type, "type", 0, context_type_names, "Value (default)."),
    FIELD_STR(ext_auth_context, value, "value", 0, "Value."),
    FIELD_UNSUPPORTED("valueRef", "Value from a Secret or ConfigMap."),
};
static const struct table ext_auth_context_table =
    TABLE_CHECKED(ext_auth_context, ext_auth_context_check);

static void ext_auth_common_check(struct decoder *d, const struct node *node, struct ext_auth *e)
{
    check_max_items(d, node, "contextExtensions", 64);
    e->has_body_to_ext_auth = !node_is_null(node_find(node, "bodyToExtAuth"));
}

static void ext_auth_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"http", "grpc", NULL};

    const struct ext_auth *e = object;

    check_exactly_one(d, node, keys);
    ext_auth_common_check(d, node, object);
    if (e->http && e->context_extensions.n > 0)
        decode_warning(d, DIAG_INEFFECTIVE, node_find(node, "contextExtensions"),
                       "contextExtensions",
                       "only an authorizer that is asked by gRPC is told them");
}

#define EXT_AUTH_FIELDS                                                                            \
    FIELD_OTHER(ext_auth, http, "http", 0, decode_object, &ext_auth_http_table,                    \
                "Authorizer that is asked by HTTP."),                                              \
        FIELD_OTHER(ext_auth, grpc, "grpc", 0, decode_object, &ext_auth_grpc_table,                \
                    "Authorizer that is asked by gRPC."),                                          \
        FIELD_OTHER(ext_auth, headers_to_ext_auth, "headersToExtAuth", 0, decode_header_name_list, \
                    NULL, "Request headers that the authorizer gets, besides Authorization."),     \
        FIELD_BOOL(ext_auth, fail_open, "failOpen", 0,                                             \
                   "Whether requests pass while the authorizer cannot be reached."),               \
        FIELD_BOOL(ext_auth, recompute_route, "recomputeRoute", 0,                                 \
                   "Without effect: the first match is final."),                                   \
        FIELD_DURATION(ext_auth, timeout, "timeout", 0, "Time for its answer; 10s unless given."), \
        FIELD_INT(ext_auth, status_on_error, "statusOnError", 0, RANGE(400, 511),                  \
                  "Status where it cannot be reached; 403 unless given."),                         \
        FIELD_LIST(ext_auth, context_extensions, "contextExtensions", 0, ext_auth_context,         \
                   "Further values for a gRPC authorizer."),                                       \
        FIELD_UNSUPPORTED("bodyToExtAuth", "Sending of the body to the authorizer."),              \
        FIELD_UNSUPPORTED("includeRouteMetadata", "Sending of route metadata.")

static const struct field ext_auth_fields[] = {EXT_AUTH_FIELDS};
const struct table ext_auth_table = TABLE_CHECKED(ext_auth, ext_auth_check);

/* `service`, with path and headersToBackend beside it, is the same as `http` with one backendRef.
 */
static void founding_ext_auth_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"http", "grpc", "service", NULL};
    struct ext_auth *e = object;

    check_exactly_one(d, node, keys);
    ext_auth_common_check(d, node, e);
    if (e->service && !e->http) {
        e->http = ARENA_NEW(d->arena, struct ext_auth_server);
        e->http->mark = e->service->mark;
        VEC_PUSH(d->arena, &e->http->backend_refs, *e->service);
        e->service = NULL; /* one place for each reference: link visits it once */
    }
    if (!e->http)
        return;
    if (e->path.len > 0)
        e->http->path = e->path;
    if (e->headers_to_backend.n > 0)
        e->http->headers_to_backend = e->headers_to_backend;
}

static const struct field founding_ext_auth_fields[] = {
    EXT_AUTH_FIELDS,
    FIELD_OBJECT(ext_auth, service, "service", 0, backend_ref,
                 "Service (or Backend) that is asked by HTTP; short form of http."),
    FIELD_STR(ext_auth, path, "path", 0, "Path put before the request's own."),
    FIELD_OTHER(ext_auth, headers_to_backend, "headersToBackend", 0, decode_header_name_list, NULL,
                "Headers of the authorizer's answer that the backend gets."),
};
const struct table founding_ext_auth_table = {
    "founding_ext_auth", sizeof(struct ext_auth), founding_ext_auth_fields,
    N_ELEMENTS(founding_ext_auth_fields), founding_ext_auth_check};

const char *ext_auth_find_unenforced(const struct ext_auth *e)
{
    /* One that is told too little may judge by it. */
    VEC_FOREACH (&e->context_extensions, c) {
        if (c->type != 0)
            return "extAuth.contextExtensions[].valueRef";
    }
    /* An authorizer that expects the body would judge less than it should. */
    return e->has_body_to_ext_auth ? "extAuth.bodyToExtAuth" : NULL;
}
