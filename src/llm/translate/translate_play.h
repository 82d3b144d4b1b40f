/* Shared by the tests of translation: documents are compared as JSON, whatever their order. */
#pragma once

#include <jansson.h>
#include <stdlib.h>

#include "llm/translate/translate.h"
#include "test/harness/test.h"

enum { PLAY_NOW_S = 1800000000 };

/* Chat completions at Anthropic, or messages at OpenAI. */
static inline const struct translator *play_translator(bool is_chat)
{
    return is_chat ? translate_find(AI_ENDPOINT_CHAT_COMPLETIONS, LLM_SCHEMA_ANTHROPIC)
                   : translate_find(AI_ENDPOINT_MESSAGES, LLM_SCHEMA_OPENAI);
}

static inline void check_json(const char *what, struct str actual, const char *expected)
{
    json_error_t e;
    json_t *want = json_loads(expected, JSON_ALLOW_NUL, &e);
    json_t *have = json_loadb(actual.ptr ? actual.ptr : "", actual.len,
                              JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);

    CHECK_MSG(want, "%s: the expectation is no JSON: %s at %d", what, e.text, e.position);
    CHECK_MSG(have, "%s: no JSON: %.*s", what, STR_ARG(actual));
    CHECK_MSG(json_equal(have, want), "%s: got\n%.*s\nexpected\n%s", what, STR_ARG(actual),
              expected);
    json_decref(want);
    json_decref(have);
}
