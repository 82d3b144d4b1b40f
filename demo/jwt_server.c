/* demo-jwt-server: issues the demo's tokens and publishes the keys that verify them.
 *
 *   GET  /.well-known/jwks.json   the key set
 *   GET  /tokens                  {"tenant-a": TOKEN, ...}: one token per tenant, good for 24 hours
 *   POST /rotate                  signs with a new key from now on; the last one stays published
 *   GET  /health
 *
 * Anyone who reaches it gets tokens: it listens on loopback and belongs to a demo only. Keys live
 * in memory, from start to end. Threads: one per connection; the keys are guarded by one lock. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "demo/args.h"
#include "demo/jwt.h"
#include "demo/service.h"

#define TOKEN_SECONDS (24 * 3600)

static const char *listen_at = "127.0.0.1:18080";
static const char *issuer = "inference-in-a-box";

/* The key that signs and the one before it. */
struct issuer_state {
    pthread_mutex_t lock;
    EVP_PKEY *key, *last_key;
    char kid[64], last_kid[64];
    unsigned n_keys;
};

static bool rotate(struct issuer_state *s)
{
    EVP_PKEY *key = jwt_new_key();

    if (!key)
        return false;
    EVP_PKEY_free(s->last_key);
    s->last_key = s->key;
    (void)memcpy(s->last_kid, s->kid, sizeof(s->kid));
    s->key = key;
    (void)snprintf(s->kid, sizeof(s->kid), "jwt-server-key-%u", ++s->n_keys);
    return true;
}

static json_t *format_key_set(const struct issuer_state *s)
{
    json_t *keys = json_array();

    (void)json_array_append_new(keys, jwt_format_key(s->key, s->kid));
    if (s->last_key)
        (void)json_array_append_new(keys, jwt_format_key(s->last_key, s->last_kid));
    return json_pack("{s:o}", "keys", keys);
}

static json_t *format_tokens(const struct issuer_state *s)
{
    long long now = (long long)time(NULL);
    json_t *tokens = json_object();

    for (int letter = 'a'; letter <= 'c'; letter++) {
        char tenant[16];
        char sub[16];
        json_t *claims;
        char *token;

        (void)snprintf(tenant, sizeof(tenant), "tenant-%c", letter);
        (void)snprintf(sub, sizeof(sub), "user-%c", letter);
        claims = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "iss", issuer, "sub", sub, "aud",
                           tenant, "tenant", tenant, "iat", (json_int_t)now, "exp",
                           (json_int_t)now + TOKEN_SECONDS);
        token = jwt_sign(s->key, s->kid, claims);
        (void)json_object_set_new(tokens, tenant, json_string(token ? token : ""));
        free(token);
        json_decref(claims);
    }
    return tokens;
}

static bool is_get(const struct service_call *call)
{
    return strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
}

static void answer(struct service_call *call, void *state)
{
    struct issuer_state *s = state;
    bool is_rotate = strcmp(call->path, "/rotate") == 0;
    bool is_keys = strcmp(call->path, "/.well-known/jwks.json") == 0;
    bool is_tokens = strcmp(call->path, "/tokens") == 0;

    if (!is_rotate && !is_keys && !is_tokens && strcmp(call->path, "/health") != 0)
        return;
    if (is_rotate ? strcmp(call->method, "POST") != 0 : !is_get(call)) {
        service_reply_method(call, is_rotate ? "POST" : "GET, HEAD");
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    if (is_rotate && !rotate(s))
        service_reply_error(call, 500, "No key could be made.");
    else if (is_rotate)
        service_reply_json(call, 200, json_pack("{s:s}", "kid", s->kid));
    else if (is_keys)
        service_reply_json(call, 200, format_key_set(s));
    else if (is_tokens)
        service_reply_json(call, 200, format_tokens(s));
    else
        service_reply_json(call, 200, json_pack("{s:s}", "status", "ok"));
    (void)pthread_mutex_unlock(&s->lock);
}

int main(int argc, char **argv)
{
    static struct issuer_state state = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct arg args[] = {
        {"listen", &listen_at, "address and port"}, {"issuer", &issuer, "the tokens' iss"}, {0}};
    int fd;

    args_parse(argc, argv, args);
    fd = service_open("demo-jwt-server", listen_at);
    if (fd < 0 || !rotate(&state))
        return 1;
    service_run(fd, answer, &state);
}
