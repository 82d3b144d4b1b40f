/* demo-ext-auth: the external authorizer of the shipped configuration.
 *
 * Every request, whatever its method and path, is judged by its headers alone: the Bearer token
 * must be genuine, its tenant must be x-tenant, and that tenant may use x-model. Yes is 200 with
 * x-tenant, x-model and authorization; no is 403 with the reason. There is no /health on purpose: a
 * path that always says yes would be a hole, since an authorizer is asked with the request's own
 * path.
 *
 * The key set is fetched when a token names a key that is not known, at most once a second; one
 * lock guards it. Thread: one per connection. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "demo/args.h"
#include "demo/fetch.h"
#include "demo/jwt.h"
#include "demo/service.h"

static const char *listen_at = "127.0.0.1:18084";
static const char *jwks = "http://127.0.0.1:18080/.well-known/jwks.json";
static const char *issuer = "inference-in-a-box";

struct judge {
    pthread_mutex_t lock;
    json_t *key_set;
    time_t fetched_at;
    char host[256];
    char path[512];
    int port;
};

/* Who may use which model; a model that is not listed is open to every known tenant. */
static bool tenant_may_use(const char *tenant, const char *model)
{
    static const struct {
        const char *model;
        const char *tenant;
    } owners[] = {{"sklearn-iris", "tenant-a"}, {"pytorch-resnet", "tenant-c"}};

    for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
        if (strcmp(owners[i].model, model) == 0)
            return strcmp(owners[i].tenant, tenant) == 0;
    }
    return strcmp(tenant, "tenant-a") == 0 || strcmp(tenant, "tenant-b") == 0 ||
           strcmp(tenant, "tenant-c") == 0;
}

static bool split_url(struct judge *j)
{
    j->port = 80;
    (void)strcpy(j->path, "/");
    return sscanf(jwks, "http://%255[^:/]:%d%511s", j->host, &j->port, j->path) >= 2 ||
           sscanf(jwks, "http://%255[^:/]%511s", j->host, j->path) >= 1;
}

static void refresh(struct judge *j)
{
    const struct fetch_request request = {
        .host = j->host, .port = j->port, .path = j->path, .timeout_ms = 2000};
    struct fetch_answer answer;
    time_t now = time(NULL);
    json_t *set = NULL;

    if (now == j->fetched_at)
        return;
    j->fetched_at = now;
    if (fetch(&request, &answer) == 0 && answer.status == 200)
        set = json_loads(answer.body, JSON_REJECT_DUPLICATES, NULL);
    else
        (void)fprintf(stderr, "demo-ext-auth: no key set: %s\n", answer.error);
    fetch_answer_free(&answer);
    if (json_is_array(json_object_get(set, "keys"))) {
        json_decref(j->key_set);
        j->key_set = set;
    } else {
        json_decref(set);
    }
}

/* The reason for a no, or NULL. */
static const char *judge_call(struct judge *j, const struct service_call *call)
{
    const char *authorization = service_find_header(call, "authorization");
    const char *tenant = service_find_header(call, "x-tenant");
    const char *model = service_find_header(call, "x-model");
    const char *why = NULL;
    const char *token;
    const char *claim;
    json_t *claims;

    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return "there is no Bearer token";
    token = authorization + 7;
    (void)pthread_mutex_lock(&j->lock);
    if (!jwt_set_has_key(j->key_set, token))
        refresh(j);
    claims = jwt_verify(token, j->key_set, issuer, (long long)time(NULL), &why);
    (void)pthread_mutex_unlock(&j->lock);
    if (!claims)
        return why;
    claim = json_string_value(json_object_get(claims, "tenant"));
    if (!claim || !tenant || strcmp(claim, tenant) != 0)
        why = "the token's tenant is not x-tenant";
    else if (!model)
        why = "x-model does not say which model is meant";
    else if (!tenant_may_use(claim, model))
        why = "the tenant may not use this model";
    json_decref(claims);
    return why;
}

static void answer(struct service_call *call, void *state)
{
    static const char *const passed[] = {"x-tenant", "x-model", "authorization"};
    const char *why = judge_call(state, call);

    if (why) {
        service_reply_error(call, 403, "Refused by demo-ext-auth: %s.", why);
        return;
    }
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
        service_add_header(call, passed[i], service_find_header(call, passed[i]));
    service_reply_json(call, 200, json_pack("{s:b}", "allowed", 1));
}

int main(int argc, char **argv)
{
    static struct judge judge = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct arg args[] = {{"listen", &listen_at, "address and port"},
                               {"jwks", &jwks, "http:// address of the key set"},
                               {"issuer", &issuer, "the tokens' iss"},
                               {0}};
    int fd;

    args_parse(argc, argv, args);
    if (!split_url(&judge)) {
        (void)fprintf(stderr, "demo-ext-auth: \"%s\" is no http:// address\n", jwks);
        return 2;
    }
    fd = service_open("demo-ext-auth", listen_at);
    if (fd < 0)
        return 1;
    service_run(fd, answer, &judge);
}
