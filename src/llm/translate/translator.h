/* What a translator is made of. Inside src/llm/translate only. */
#pragma once

#include "llm/translate/reading.h"
#include "llm/translate/writer.h"

struct translator {
    enum ai_dialect client;
    /* False: the fault is filled in. */
    bool (*write_request)(struct translate *t, const struct reading *r, const json_t *root,
                          struct str model, struct buf *out);
    /* The rest answer 0 or a condition of translate_condition. */
    int (*write_answer)(struct translate *t, const json_t *root, struct buf *out);
    /* May set `lone_text`. */
    int (*on_event)(struct translate *t, const json_t *event, struct buf *out);
    /* A frame of the remembered shape: `text` stands between the quotes of a JSON string. False
     * when something else than a delta has to be said now; then nothing was. */
    bool (*on_lone_text)(struct translate *t, struct str text, struct buf *out);
    const char *text_key; /* of that string, in the upstream's frames: "\"text\":" */
    /* The stream is over: by its last word ("[DONE]", which is no JSON), or by its mere end. */
    int (*on_done)(struct translate *t, bool is_said, struct buf *out);
};

/* One tool, and "tool_choice", in the upstream's words. False: the fault is filled in. */
typedef bool tool_fn(const struct reading *r, const struct place *at, const json_t *tool,
                     struct writer *w);
typedef bool tool_choice_fn(const struct reading *r, const json_t *root, struct writer *w);
/* tools.c: all of them; without any there is no choice to be told of. */
MUST_USE bool tools_write(const struct reading *r, const json_t *root, tool_fn *write_tool,
                          tool_choice_fn *write_choice, struct writer *w);

/* OpenAI Chat Completions clients at Anthropic Messages. */
bool to_messages_write(struct translate *t, const struct reading *r, const json_t *root,
                       struct str model, struct buf *out);
int from_messages_write(struct translate *t, const json_t *root, struct buf *out);
int from_messages_on_event(struct translate *t, const json_t *event, struct buf *out);
bool from_messages_on_lone_text(struct translate *t, struct str text, struct buf *out);
int from_messages_on_done(struct translate *t, bool is_said, struct buf *out);

/* Anthropic Messages clients at OpenAI Chat Completions. */
bool to_chat_write(struct translate *t, const struct reading *r, const json_t *root,
                   struct str model, struct buf *out);
int from_chat_write(struct translate *t, const json_t *root, struct buf *out);
int from_chat_on_event(struct translate *t, const json_t *event, struct buf *out);
bool from_chat_on_lone_text(struct translate *t, struct str text, struct buf *out);
int from_chat_on_done(struct translate *t, bool is_said, struct buf *out);
