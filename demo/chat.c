/* Chat completions: the model speaks, this gives it OpenAI's shape, in one piece or as an event
 * stream, with usage.
 *
 * A token is counted for every four bytes of text, which is not how a real tokenizer counts, but
 * the sums agree: total is prompt plus completion. Nothing is kept between calls. Thread: the
 * connection's. */
#include "demo/chat.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct completion {
    const char *model; /* as asked for */
    char id[48];
    json_int_t created;
    size_t prompt_tokens, completion_tokens;
    char *text;
    const char *finish_reason;
};

static size_t count_tokens(const char *text)
{
    return (strlen(text) + 3) / 4;
}

static void reply_invalid(struct service_call *call, int status, const char *param,
                          const char *text)
{
    service_reply_json(call, status,
                       json_pack("{s:{s:s, s:s, s:s?, s:n}}", "error", "message", text, "type",
                                 "invalid_request_error", "param", param, "code"));
}

/* The text of a message's content, which may also be a list of parts; NULL if it is neither. */
static const char *content_text(const json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    json_t *part;
    size_t i;

    json_array_foreach(content, i, part)
    {
        const char *text = json_string_value(json_object_get(part, "text"));

        if (text)
            return text;
    }
    return json_string_value(content);
}

/* Counts the prompt and finds the last text; NULL if the messages are no messages. */
static const char *read_messages(const json_t *messages, size_t *ret_tokens)
{
    const char *last = NULL;
    json_t *message;
    size_t i;

    *ret_tokens = 0;
    json_array_foreach(messages, i, message)
    {
        last = content_text(message);
        if (!last || !json_is_string(json_object_get(message, "role")))
            return NULL;
        *ret_tokens += count_tokens(last) + 3;
    }
    return last;
}

static void speak(struct completion *c, const struct model *model, const char *message,
                  json_int_t max_tokens)
{
    static atomic_uint n_answers;

    (void)snprintf(c->id, sizeof(c->id), "chatcmpl-demo-%u", atomic_fetch_add(&n_answers, 1) + 1);
    c->created = (json_int_t)time(NULL);
    c->text = model->speak(message);
    c->finish_reason = "stop";
    c->completion_tokens = count_tokens(c->text);
    if (max_tokens > 0 && (json_int_t)c->completion_tokens > max_tokens) {
        c->text[4 * max_tokens] = '\0';
        c->completion_tokens = (size_t)max_tokens;
        c->finish_reason = "length";
    }
    /* A cut through a character of several bytes leaves no valid UTF-8. */
    for (size_t n = strlen(c->text); n > 0; c->text[--n] = '\0') {
        json_t *probe = json_string(c->text);

        json_decref(probe);
        if (probe)
            break;
    }
}

static json_t *format_usage(const struct completion *c)
{
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)c->prompt_tokens,
                     "completion_tokens", (json_int_t)c->completion_tokens, "total_tokens",
                     (json_int_t)c->prompt_tokens + (json_int_t)c->completion_tokens);
}

static void reply_whole(struct service_call *call, const struct completion *c,
                        const struct model *model)
{
    json_t *answer =
        json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:{s:s, s:s}, s:s}], s:o}", "id", c->id, "object",
                  "chat.completion", "created", c->created, "model", c->model, "choices", "index",
                  0, "message", "role", "assistant", "content", c->text, "finish_reason",
                  c->finish_reason, "usage", format_usage(c));

    if (model->is_stand_in)
        (void)json_object_set_new(answer, "stand_in", json_true());
    service_reply_json(call, 200, answer);
}

/* Takes over `choices` and `usage`, which may be NULL. */
static bool send_event(struct service_call *call, const struct completion *c, json_t *choices,
                       json_t *usage)
{
    json_t *event =
        json_pack("{s:s, s:s, s:I, s:s, s:o, s:o*}", "id", c->id, "object", "chat.completion.chunk",
                  "created", c->created, "model", c->model, "choices", choices, "usage", usage);
    char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
    char *frame = NULL;
    bool is_sent = false;

    if (text && asprintf(&frame, "data: %s\n\n", text) >= 0) {
        is_sent = service_stream_write(call, frame, strlen(frame));
        free(frame);
    }
    free(text);
    json_decref(event);
    return is_sent;
}

static bool send_word(struct service_call *call, const struct completion *c, const char *word,
                      size_t len)
{
    return send_event(call, c,
                      json_pack("[{s:i, s:{s:s%}, s:n}]", "index", 0, "delta", "content", word, len,
                                "finish_reason"),
                      NULL);
}

static void reply_stream(struct service_call *call, const struct completion *c, bool has_usage)
{
    const char *word = c->text;
    bool goes_on;

    service_add_header(call, "cache-control", "no-cache");
    service_stream(call, 200, "text/event-stream");
    goes_on = send_event(call, c,
                         json_pack("[{s:i, s:{s:s, s:s}, s:n}]", "index", 0, "delta", "role",
                                   "assistant", "content", "", "finish_reason"),
                         NULL);
    while (goes_on && *word != '\0') {
        size_t len = strspn(word, " ");

        len += strcspn(word + len, " ");
        goes_on = send_word(call, c, word, len);
        word += len;
    }
    goes_on = goes_on && send_event(call, c,
                                    json_pack("[{s:i, s:{}, s:s}]", "index", 0, "delta",
                                              "finish_reason", c->finish_reason),
                                    NULL);
    if (goes_on && has_usage)
        goes_on = send_event(call, c, json_array(), format_usage(c));
    if (goes_on)
        (void)service_stream_write(call, "data: [DONE]\n\n", 14);
    service_stream_end(call);
}

static void answer_completion(struct service_call *call, const struct model *model)
{
    json_t *request = json_loadb(call->body, call->body_len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *options = json_object_get(request, "stream_options");
    const json_t *max = json_object_get(request, "max_completion_tokens");
    struct completion c = {.model = json_string_value(json_object_get(request, "model"))};
    const char *message = read_messages(json_object_get(request, "messages"), &c.prompt_tokens);

    if (!max)
        max = json_object_get(request, "max_tokens");
    if (!json_is_object(request)) {
        reply_invalid(call, 400, NULL, "The body is not a JSON object.");
    } else if (!c.model) {
        reply_invalid(call, 400, "model", "\"model\" must be a text.");
    } else if (!message) {
        reply_invalid(call, 400, "messages",
                      "\"messages\" must be a list, not empty, of objects with role and content.");
    } else if (max && (!json_is_integer(max) || json_integer_value(max) < 1)) {
        reply_invalid(call, 400, "max_tokens", "\"max_tokens\" must be a whole number from 1 on.");
    } else {
        speak(&c, model, message, json_integer_value(max));
        if (json_is_true(json_object_get(request, "stream")))
            reply_stream(call, &c, json_is_true(json_object_get(options, "include_usage")));
        else
            reply_whole(call, &c, model);
        free(c.text);
    }
    json_decref(request);
}

void chat_answer(struct service_call *call, const struct model *model)
{
    if (strcmp(call->path, "/v1/chat/completions") == 0) {
        if (strcmp(call->method, "POST") != 0)
            service_reply_method(call, "POST");
        else
            answer_completion(call, model);
    } else if (strcmp(call->path, "/v1/models") == 0) {
        service_reply_json(call, 200,
                           json_pack("{s:s, s:[{s:s, s:s, s:i, s:s}]}", "object", "list", "data",
                                     "id", model->name, "object", "model", "created", 0, "owned_by",
                                     model->is_stand_in ? "demo (stand-in)" : "demo"));
    }
}
