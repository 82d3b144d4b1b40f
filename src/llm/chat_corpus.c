/* Generator of the benchmark's chat request. Deterministic: a small linear generator of its own
 * draws words, escapes and schemas, so that a measured figure can be measured again. Written as
 * clients write it: no white space between tokens, text past ASCII as it is. */
#include "llm/chat_corpus.h"

static uint32_t draw(uint32_t *state, uint32_t bound)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % bound;
}

static void append_text(struct buf *out, const char *text)
{
    buf_append_str(out, str_of(text));
}

/* Escapes stand 30 to 50 bytes apart; about one word in forty is not ASCII. */
static void append_prose(struct buf *out, size_t n_bytes, uint32_t *state)
{
    static const char *const words[] = {
        "the",   "gateway", "answers",  "with",  "a",     "model",   "that",     "reads",
        "every", "request", "once",     "and",   "keeps", "nothing", "of",       "it",
        "when",  "tokens",  "are",      "spent", "by",    "tenants", "budgets",  "hold",
        "until", "minute",  "turns",    "over",  "for",   "all",     "upstream", "servers"};
    static const char *const foreign[] = {"na\xc3\xafve", "\xe2\x80\x94", "\xe4\xbd\xa0\xe5\xa5\xbd",
                                          "\xf0\x9f\x9a\x80", "\xc3\xbc"
                                                              "ber"};
    static const char *const escapes[] = {"\\n", "\\\"", "\\n\\n", "\\t", "\\\\", "\\u2019"};
    size_t end = out->len + n_bytes;
    size_t next_escape = out->len + 40;

    while (out->len < end) {
        if (draw(state, 40) == 0)
            append_text(out, foreign[draw(state, N_ELEMENTS(foreign))]);
        else
            append_text(out, words[draw(state, N_ELEMENTS(words))]);
        if (out->len < next_escape) {
            buf_append_char(out, ' ');
            continue;
        }
        append_text(out, escapes[draw(state, N_ELEMENTS(escapes))]);
        next_escape = out->len + 30 + draw(state, 20);
    }
}

static void append_message(struct buf *out, const char *role, size_t n_bytes, uint32_t *state)
{
    append_text(out, "{\"role\":\"");
    append_text(out, role);
    append_text(out, "\",\"content\":\"");
    append_prose(out, n_bytes, state);
    append_text(out, "\"},");
}

static void append_image(struct buf *out, size_t n_bytes, uint32_t *state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    append_text(out, "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What is in this "
                     "picture?\"},{\"type\":\"image_url\",\"image_url\":{\"detail\":\"auto\","
                     "\"url\":\"data:image/png;base64,");
    for (size_t i = 0; i < n_bytes; i++)
        buf_append_char(out, digits[draw(state, 64)]);
    append_text(out, "\"}}]}");
}

static void append_tool(struct buf *out, unsigned number, uint32_t *state)
{
    static const char *const names[] = {"location", "unit", "start_date", "customer_id", "limit"};
    static const char *const types[] = {"string", "integer", "boolean", "number"};
    unsigned n_properties = 3 + draw(state, 3);

    buf_printf(out,
               "{\"type\":\"function\",\"function\":{\"name\":\"tool_%u\",\"description\":\"Looks "
               "up what the tenant asked for.\",\"strict\":true,\"parameters\":{\"type\":\"object\","
               "\"properties\":{",
               number);
    for (unsigned i = 0; i < n_properties && i < N_ELEMENTS(names); i++) {
        buf_printf(out, "%s\"%s\":{\"type\":\"%s\",\"description\":\"The %s, as given.\"",
                   i > 0 ? "," : "", names[i], types[draw(state, N_ELEMENTS(types))], names[i]);
        if (draw(state, 3) == 0)
            append_text(out, ",\"enum\":[\"celsius\",\"fahrenheit\",\"kelvin\"]");
        if (draw(state, 3) == 0)
            buf_printf(out, ",\"minimum\":%u,\"maximum\":%u.5,\"default\":null", draw(state, 10),
                       draw(state, 1000));
        buf_append_char(out, '}');
    }
    append_text(out, "},\"required\":[\"location\",\"unit\"],\"additionalProperties\":false}}}");
}

void chat_corpus_append(struct buf *out, size_t n_bytes)
{
    uint32_t state = 20260101;
    size_t begin = out->len;
    size_t n_prose = n_bytes * 55 / 100;

    append_text(out, "{\"model\":\"gpt-4o-mini\",\"stream\":true,\"temperature\":0.7,"
                     "\"max_tokens\":1024,\"messages\":[");
    append_message(out, "system", n_prose / 10, &state);
    while (out->len - begin < n_prose) {
        append_message(out, "user", MIN(n_prose / 20, (size_t)2000), &state);
        append_message(out, "assistant", MIN(n_prose / 10, (size_t)6000), &state);
    }
    append_image(out, n_bytes * 30 / 100, &state);
    append_text(out, "],\"tools\":[");
    for (unsigned i = 0; out->len - begin < n_bytes || i == 0; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        append_tool(out, i, &state);
    }
    append_text(out, "],\"tool_choice\":\"auto\"}");
}
