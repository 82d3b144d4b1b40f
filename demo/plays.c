/* The calls of play_table.c: the demo prints them as curl lines, --once makes them itself.
 *
 * Owner: struct plays owns its tokens. Thread: the launcher's only one. */
#include "demo/plays.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "demo/fetch.h"
#include "demo/play_table.h"

#define ROW         "[5.1,3.5,1.4,0.2]"
#define PRINTED_END 400 /* bytes */

static const char *tenant_name(int i)
{
    static const char *const names[PLAYS_TENANTS] = {"tenant-a", "tenant-b", "tenant-c"};

    return i >= 0 && i < PLAYS_TENANTS ? names[i] : "nobody";
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

/* The x-backend-authorization header with the tenant's line of passwords.txt. */
static char *format_password(const struct plays *p, enum caller caller)
{
    char path[512];
    char line[256] = "";
    char encoded[4 * sizeof(line) / 3 + 4];
    const char *tenant = tenant_name((int)caller);
    char *text = NULL;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/passwords.txt", p->folder);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file) && strncmp(line, tenant, strlen(tenant)) != 0)
        ;
    if (file)
        (void)fclose(file);
    line[strcspn(line, "\n")] = '\0';
    (void)EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)line, (int)strlen(line));
    if (asprintf(&text, "x-backend-authorization: Basic %s", encoded) < 0)
        abort();
    return text;
}

/* NULL for a GET; free it. */
static char *format_body(const struct play *play)
{
    char *text = NULL;
    size_t len;
    FILE *out;

    if (play->n_flowers == 0)
        return play->body ? strdup(play->body) : NULL;
    out = open_memstream(&text, &len);
    if (!out)
        abort();
    (void)fprintf(out, "{\"instances\":[" ROW);
    for (int i = 1; i < play->n_flowers; i++)
        (void)fprintf(out, "," ROW);
    (void)fprintf(out, "]}");
    (void)fclose(out);
    return text;
}

static int make_call(const struct plays *p, const struct play *play, struct fetch_answer *answer)
{
    char *authorization = format_authorization(p, play->caller);
    char *password = play->has_password ? format_password(p, play->caller) : NULL;
    char *body = format_body(play);
    char ca_file[512];
    const char *headers[5] = {0};
    int n = 0;
    int r;

    (void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", p->folder);
    if (authorization[0] != '\0')
        headers[n++] = authorization;
    if (password)
        headers[n++] = password;
    if (play->header)
        headers[n++] = play->header;
    if (body)
        headers[n++] = "content-type: application/json";
    r = fetch(&(struct fetch_request){.host = "127.0.0.1",
                                      .port = play->is_tls ? p->ports.https : p->ports.http,
                                      .ca_file = play->is_tls ? ca_file : NULL,
                                      .method = body ? "POST" : "GET",
                                      .path = play->path,
                                      .headers = headers,
                                      .body = body,
                                      .timeout_ms = 10000},
              answer);
    free(authorization);
    free(password);
    free(body);
    return r;
}

/* Who is refused for now learns when to come again. */
static bool tells_when(const struct fetch_answer *answer)
{
    return strcasestr(answer->head, "\nretry-after: ") != NULL &&
           strcasestr(answer->head, "\nx-ratelimit-reset: ") != NULL;
}

static bool is_right(const struct play *play, const struct fetch_answer *answer)
{
    return answer->status == play->status && (play->status != 429 || tells_when(answer)) &&
           (!play->head || strcasestr(answer->head, play->head) != NULL) &&
           (!play->answer || strstr(answer->body, play->answer) != NULL);
}

bool plays_try_first(const struct plays *p, FILE *complaints)
{
    struct fetch_answer answer;
    int r = make_call(p, &play_table[0], &answer);
    bool is_ready = r == 0 && is_right(&play_table[0], &answer);

    if (!is_ready && complaints)
        (void)fprintf(complaints, "tollgate-demo: the gateway gives no prediction, but: %d %s\n",
                      answer.status, r == 0 ? answer.body : answer.error);
    fetch_answer_free(&answer);
    return is_ready;
}

/* Each line can be pasted into a shell; -i where the answer's head is the point. */
static void print_curl(const struct plays *p, const struct play *play)
{
    (void)printf("curl -s%s", play->status == 429 ? "i" : "");
    if (play->is_tls)
        (void)printf(" --cacert %s/ca.pem", p->folder);
    if (play->caller < PLAYS_TENANTS)
        (void)printf(" -H \"Authorization: Bearer $(cat %s/%s.token)\"", p->folder,
                     tenant_name((int)play->caller));
    else if (play->caller == FORGER)
        (void)printf(" -H 'Authorization: Bearer forged.forged.forged'");
    if (play->has_password)
        (void)printf(" -H \"x-backend-authorization: Basic "
                     "$(grep ^%s: %s/passwords.txt | tr -d '\\n' | base64)\"",
                     tenant_name((int)play->caller), p->folder);
    if (play->header)
        (void)printf(" -H '%s'", play->header);
    if (play->n_flowers > 0)
        (void)printf(" -d \"{\\\"instances\\\":[$(yes '" ROW "' | head -n %d | paste -sd,)]}\"",
                     play->n_flowers);
    else if (play->body)
        (void)printf(" -d '%s'", play->body);
    (void)printf(" %s://127.0.0.1:%d%s\n", play->is_tls ? "https" : "http",
                 play->is_tls ? p->ports.https : p->ports.http, play->path);
}

static void print_says(const struct play *play)
{
    const char *line = play->says;

    (void)printf("\n");
    for (;;) {
        size_t len = strcspn(line, "\n");

        (void)printf("# %.*s\n", (int)len, line);
        if (line[len] == '\0')
            break;
        line += len + 1;
    }
}

#define HELLO "model=\"demo-chat\", messages=[{\"role\": \"user\", \"content\": \"Hello\"}]"

static void print_client(const struct plays *p)
{
    static const char *const lines[] = {
        "print(OpenAI().chat.completions.create(" HELLO "))",
        "[print(c.choices[0].delta.content or \"\", end=\"\", flush=True) for c in "
        "OpenAI().chat.completions.create(" HELLO ", stream=True) if c.choices]",
        "print([model.id for model in OpenAI().models.list()])",
    };

    (void)printf("\n# The OpenAI client as it is (pip install openai): a tenant's token is its API "
                 "key.\n# An answer, a streamed one, and the models that this tenant may use\n");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        (void)printf("OPENAI_BASE_URL=http://127.0.0.1:%d/v1 OPENAI_API_KEY=\"$(cat "
                     "%s/tenant-a.token)\" python3 -c 'from openai import OpenAI; %s'\n",
                     p->ports.http, p->folder, lines[i]);
}

void plays_print(const struct plays *p)
{
    for (size_t i = 0; i < play_table_n; i++) {
        const struct play *play = &play_table[i];

        print_says(play);
        (void)printf("#   answers %d%s%s%s\n", play->status, play->answer ? " with " : "",
                     play->answer ? play->answer : "",
                     play->max_calls > 0 ? ", after a few calls" : "");
        print_curl(p, play);
    }
    print_client(p);
    (void)printf("\n");
}

/* The lines of the head that say how much budget is left. */
static void print_budget(const struct fetch_answer *answer)
{
    for (const char *line = answer->head; *line != '\0';) {
        size_t len = strcspn(line, "\r\n");

        if (strncasecmp(line, "x-ratelimit-", 12) == 0 ||
            strncasecmp(line, "retry-after:", 12) == 0)
            (void)printf("%.*s\n", (int)len, line);
        line += len;
        line += strspn(line, "\r\n");
    }
}

/* Of a long answer, both ends. */
static void print_answer(const struct play *play, const struct fetch_answer *answer)
{
    const char *body = answer->body;
    size_t len = strlen(body);

    while (len > 0 && body[len - 1] == '\n')
        len--;
    (void)printf("%d ", answer->status);
    if (len > 2 * PRINTED_END)
        (void)printf("%.*s ... %s\n", PRINTED_END, body, body + len - PRINTED_END);
    else
        (void)printf("%.*s\n", (int)len, body);
    if (play->status == 429)
        print_budget(answer);
}

static bool run_play(const struct plays *p, const struct play *play)
{
    struct fetch_answer answer;
    bool is_good;
    int n = 0;
    int r;

    print_says(play);
    print_curl(p, play);
    for (;;) {
        r = make_call(p, play, &answer);
        is_good = r == 0 && is_right(play, &answer);
        if (++n >= play->max_calls || is_good)
            break;
        (void)printf("%d\n", answer.status);
        fetch_answer_free(&answer);
    }
    if (r == 0)
        print_answer(play, &answer);
    else
        (void)printf("no answer: %s\n", answer.error);
    if (is_good)
        (void)printf("right\n");
    else
        (void)printf("WRONG: expected %d%s%s%s%s\n", play->status, play->head ? ", " : "",
                     play->head ? play->head : "", play->answer ? " with " : "",
                     play->answer ? play->answer : "");
    fetch_answer_free(&answer);
    return is_good;
}

int plays_run(const struct plays *p)
{
    int n_wrong = 0;

    for (size_t i = 0; i < play_table_n; i++) {
        if (!run_play(p, &play_table[i]))
            n_wrong++;
    }
    return n_wrong;
}
