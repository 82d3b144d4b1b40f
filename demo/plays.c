/* One table of calls, each with what it must answer: the demo prints it as curl lines, --once makes
 * the calls itself.
 *
 * Owner: struct plays owns its tokens. Thread: the launcher's only one. */
#include "demo/plays.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo/fetch.h"

enum caller { TENANT_A, TENANT_B, TENANT_C, NOBODY, FORGER };

struct play {
    const char *says; /* what one sees */
    enum caller caller;
    bool is_tls;
    const char *path;
    const char *body;   /* POST, unless NULL */
    const char *header; /* one more, unless NULL */
    int status;
    const char *answer; /* part of the body, unless NULL */
};

#define FLOWER  "{\"instances\":[[5.1,3.5,1.4,0.2]]}"
#define FLOWER2 "{\"instances\":[[6.7,3.0,5.2,2.3],[5.1,3.5,1.4,0.2]]}"
#define TENSOR                                                                                     \
    "{\"inputs\":[{\"name\":\"input-0\",\"shape\":[1,4],\"datatype\":\"FP64\","                    \
    "\"data\":[5.1,3.5,1.4,0.2]}]}"
#define PICTURE "{\"instances\":[{\"image\":\"cat.png\"}]}"
#define PREDICT "/v1/models/sklearn-iris:predict"

static const struct play plays[] = {
    {"tenant-a asks its model: a real prediction", TENANT_A, false, PREDICT, FLOWER, NULL, 200,
     "\"predictions\":[0]"},
    {"the same over HTTPS", TENANT_A, true, PREDICT, FLOWER2, NULL, 200, "\"predictions\":[2,0]"},
    {"the same by KServe's V2 protocol", TENANT_A, false, "/v2/models/sklearn-iris/infer", TENSOR,
     NULL, 200, "\"data\":[0]"},
    {"the same with the colon encoded", TENANT_A, false, "/v1/models/sklearn-iris%3Apredict",
     FLOWER, NULL, 200, "\"predictions\":[0]"},
    {"a GET on :predict: the model's own 405", TENANT_A, false, PREDICT, NULL, NULL, 405, "POST"},
    {"without a token: 401", NOBODY, false, PREDICT, FLOWER, NULL, 401, NULL},
    {"with a forged token: 401", FORGER, false, PREDICT, FLOWER, NULL, 401, NULL},
    {"tenant-c on tenant-a's model: 403", TENANT_C, false, PREDICT, FLOWER, NULL, 403, NULL},
    {"by V2: 403", TENANT_C, false, "/v2/models/sklearn-iris/infer", TENSOR, NULL, 403, NULL},
    {"with the colon encoded: 403", TENANT_C, false, "/v1/models/sklearn-iris%3Apredict", FLOWER,
     NULL, 403, NULL},
    {"claiming to be tenant-a in a header: 403", TENANT_C, false, PREDICT, FLOWER,
     "x-tenant: tenant-a", 403, NULL},
    {"tenant-c asks its model (a stand-in, which says so)", TENANT_C, false,
     "/v1/models/pytorch-resnet:predict", PICTURE, NULL, 200, "\"stand_in\":true"},
    {"tenant-b has no model: 403", TENANT_B, true, "/v1/models/pytorch-resnet:predict", PICTURE,
     NULL, 403, NULL},
    {"tenant-b anywhere else: the fallback, marked by the gateway", TENANT_B, false,
     "/anything/else", NULL, NULL, 200, "\"x-forwarded-by\":\"ai-gateway\""},
};

static const char *tenant_name(int i)
{
    static const char *const names[PLAYS_TENANTS] = {"tenant-a", "tenant-b", "tenant-c"};

    return names[i];
}

static int write_token(const struct plays *p, int i)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s.token", p->folder, tenant_name(i));
    file = fopen(path, "we");
    if (!file || fputs(p->tokens[i], file) < 0 || fclose(file) != 0) {
        (void)fprintf(stderr, "tollgate-demo: cannot write %s\n", path);
        return -1;
    }
    return 0;
}

int plays_fetch_tokens(struct plays *p)
{
    const struct fetch_request request = {
        .host = "127.0.0.1", .port = p->ports.jwt_server, .path = "/tokens", .timeout_ms = 5000};
    struct fetch_answer answer;
    json_t *json = NULL;
    int r = fetch(&request, &answer);

    if (r == 0)
        json = json_loads(answer.body, 0, NULL);
    for (int i = 0; i < PLAYS_TENANTS && r == 0; i++) {
        const char *token = json_string_value(json_object_get(json, tenant_name(i)));

        p->tokens[i] = token ? strdup(token) : NULL;
        r = p->tokens[i] ? write_token(p, i) : -1;
    }
    if (r < 0)
        (void)fprintf(stderr, "tollgate-demo: the issuer gave no tokens %s\n", answer.error);
    json_decref(json);
    fetch_answer_free(&answer);
    return r;
}

void plays_deinit(struct plays *p)
{
    for (int i = 0; i < PLAYS_TENANTS; i++) {
        free(p->tokens[i]);
        p->tokens[i] = NULL;
    }
}

/* The Authorization header; "" for nobody. A forged token is tenant-a's with tenant-c's signature.
 */
static char *format_authorization(const struct plays *p, enum caller caller)
{
    const char *dot = strrchr(p->tokens[TENANT_A], '.');
    const char *other = strrchr(p->tokens[TENANT_C], '.');
    char *text = NULL;
    int n;

    if (caller == FORGER)
        n = asprintf(&text, "authorization: Bearer %.*s%s", (int)(dot - p->tokens[TENANT_A]),
                     p->tokens[TENANT_A], other);
    else if (caller == NOBODY)
        n = asprintf(&text, "%s", "");
    else
        n = asprintf(&text, "authorization: Bearer %s", p->tokens[caller]);
    if (n < 0)
        abort();
    return text;
}

static int make_call(const struct plays *p, const struct play *play, struct fetch_answer *answer)
{
    char *authorization = format_authorization(p, play->caller);
    char ca_file[512];
    const char *headers[5] = {0};
    int n = 0;
    int r;

    (void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", p->folder);
    if (authorization[0] != '\0')
        headers[n++] = authorization;
    if (play->header)
        headers[n++] = play->header;
    if (play->body)
        headers[n++] = "content-type: application/json";
    r = fetch(&(struct fetch_request){.host = "127.0.0.1",
                                      .port = play->is_tls ? p->ports.https : p->ports.http,
                                      .ca_file = play->is_tls ? ca_file : NULL,
                                      .method = play->body ? "POST" : "GET",
                                      .path = play->path,
                                      .headers = headers,
                                      .body = play->body,
                                      .timeout_ms = 10000},
              answer);
    free(authorization);
    return r;
}

static bool is_right(const struct play *play, const struct fetch_answer *answer)
{
    return answer->status == play->status &&
           (!play->answer || strstr(answer->body, play->answer) != NULL);
}

bool plays_try_first(const struct plays *p, FILE *complaints)
{
    struct fetch_answer answer;
    int r = make_call(p, &plays[0], &answer);
    bool is_ready = r == 0 && is_right(&plays[0], &answer);

    if (!is_ready && complaints)
        (void)fprintf(complaints, "tollgate-demo: the gateway gives no prediction, but: %d %s\n",
                      answer.status, r == 0 ? answer.body : answer.error);
    fetch_answer_free(&answer);
    return is_ready;
}

static void print_curl(const struct plays *p, const struct play *play)
{
    (void)printf("curl -s");
    if (play->is_tls)
        (void)printf(" --cacert %s/ca.pem", p->folder);
    if (play->caller < PLAYS_TENANTS)
        (void)printf(" -H \"Authorization: Bearer $(cat %s/%s.token)\"", p->folder,
                     tenant_name((int)play->caller));
    else if (play->caller == FORGER)
        (void)printf(" -H 'Authorization: Bearer forged.forged.forged'");
    if (play->header)
        (void)printf(" -H '%s'", play->header);
    if (play->body)
        (void)printf(" -d '%s'", play->body);
    (void)printf(" %s://127.0.0.1:%d%s\n", play->is_tls ? "https" : "http",
                 play->is_tls ? p->ports.https : p->ports.http, play->path);
}

void plays_print(const struct plays *p)
{
    for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
        const struct play *play = &plays[i];

        (void)printf("\n# %s\n#   answers %d%s%s\n", play->says, play->status,
                     play->answer ? " with " : "", play->answer ? play->answer : "");
        print_curl(p, play);
    }
    (void)printf("\n");
}

int plays_run(const struct plays *p)
{
    int n_wrong = 0;

    for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
        const struct play *play = &plays[i];
        struct fetch_answer answer;
        int r = make_call(p, play, &answer);
        bool is_good = r == 0 && is_right(play, &answer);

        (void)printf("\n# %s\n", play->says);
        print_curl(p, play);
        if (r == 0)
            (void)printf("%d %s\n", answer.status, answer.body);
        else
            (void)printf("no answer: %s\n", answer.error);
        (void)printf("%s", is_good ? "right\n" : "WRONG");
        if (!is_good) {
            (void)printf(": expected %d%s%s\n", play->status, play->answer ? " with " : "",
                         play->answer ? play->answer : "");
            n_wrong++;
        }
        fetch_answer_free(&answer);
    }
    return n_wrong;
}
