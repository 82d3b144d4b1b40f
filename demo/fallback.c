/* demo-fallback: stands where the mesh's ingress gateway would, for everything that no model route
 * takes. It answers with what it was asked, so that one sees what the gateway made of a request;
 * chat completions, which a mesh would bring to a model, it answers as the stand-in "chat".
 *
 * Credentials are not echoed, only whether there were some. Thread: one per connection; no state.
 */
#include <string.h>

#include "demo/args.h"
#include "demo/chat.h"
#include "demo/service.h"

static const char *listen_at = "127.0.0.1:18083";

static json_t *format_headers(const struct service_call *call)
{
    static const char *const shown[] = {"host",          "content-type",      "x-forwarded-by",
                                        "x-tenant",      "x-jwt-tenant",      "x-jwt-sub",
                                        "x-ai-eg-model", "x-gateway",         "x-forwarded-for",
                                        "x-request-id",  "x-forwarded-proto", "via"};
    json_t *headers = json_object();

    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const char *value = service_find_header(call, shown[i]);

        if (value)
            (void)json_object_set_new(headers, shown[i], json_string(value));
    }
    return headers;
}

static void answer(struct service_call *call, void *state)
{
    (void)state;
    if (strcmp(call->path, "/health") == 0) {
        service_reply_json(call, 200, json_pack("{s:s}", "status", "ok"));
        return;
    }
    if (strcmp(call->path, "/v1/chat/completions") == 0) {
        chat_answer(call, &model_chat);
        return;
    }
    service_reply_json(call, 200,
                       json_pack("{s:s, s:s, s:s, s:b, s:I, s:o}", "service", "demo-fallback",
                                 "method", call->method, "path", call->target, "has_authorization",
                                 service_find_header(call, "authorization") != NULL, "body_bytes",
                                 (json_int_t)call->body_len, "headers", format_headers(call)));
}

int main(int argc, char **argv)
{
    const struct arg args[] = {{"listen", &listen_at, "address and port"}, {0}};
    int fd;

    args_parse(argc, argv, args);
    fd = service_open("demo-fallback", listen_at);
    if (fd < 0)
        return 1;
    service_run(fd, answer, NULL);
}
