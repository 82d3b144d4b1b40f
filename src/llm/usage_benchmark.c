/* How fast answers pass the meter: chat frames of 100 bytes (read whole, in one span, and one at a
 * time), the same the long way, the filter, frames of every other kind, and a whole JSON answer.
 * `meson test --benchmark`. Prints; judges nothing. */
#include <stdio.h>
#include <time.h>

#include "llm/usage_filter.h"

#define STREAM_BYTES (1 << 20)
#define N_TRIES      30

static struct answer_scan scan;
static struct buf out;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct run {
    const char *name;
    enum ai_endpoint endpoint;
    const char *before, *after; /* of a frame, around its content */
    size_t span;                /* bytes fed at a time; 0: a frame */
    bool is_long_way, has_filter;
};

static void fill(struct buf *stream, const struct run *r, unsigned *ret_n_frames)
{
    static const char *const words[] = {" the", " gateway", "s", " of", " tokens,", "\\n", " a"};

    buf_clear(stream);
    for (*ret_n_frames = 0; stream->len < STREAM_BYTES; ++*ret_n_frames) {
        buf_append_str(stream, str_of(r->before));
        buf_append_str(stream, str_of(words[*ret_n_frames % N_ELEMENTS(words)]));
        buf_append_str(stream, str_of(r->after));
    }
}

static double once(const struct run *r, struct str text)
{
    struct usage_filter f;
    double start = now_ns();

    answer_scan_init(&scan, r->endpoint, ANSWER_EVENTS);
    scan.uses_shapes = !r->is_long_way;
    usage_filter_init(&f, &scan);
    if (!r->has_filter)
        scan.frame_fn = NULL;
    while (text.len > 0) {
        ssize_t end = r->span ? (ssize_t)r->span : str_find(text, STR("\n\n")) + 2;
        struct str span = str_slice(text, 0, (size_t)end);

        buf_clear(&out);
        if (r->has_filter)
            usage_filter_feed(&f, span, &out);
        else
            answer_scan_feed(&scan, span);
        text = str_slice(text, span.len, text.len);
    }
    answer_scan_end(&scan);
    usage_filter_deinit(&f);
    return now_ns() - start;
}

/* Frames of 100 bytes with 3 bytes of content, as the bar asks. */
#define CHAT   "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define CHAT_  "\"},\"finish\":null}]}\n\n"
#define OPENAI                                                                                     \
    "data: {\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1741569952,\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\","          \
    "\"system_fingerprint\":\"fp_b376dfbbd5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define OPENAI_                                                                                    \
    "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"x8Gm3\"}\n\n"
#define CLAUDE                                                                                     \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"    \
    "{\"type\":\"text_delta\",\"text\":\""
#define CLAUDE_ "\"}}\n\n"

int main(void)
{
    static const struct run runs[] = {
        {"100 B, spans of 64 KiB", AI_ENDPOINT_CHAT_COMPLETIONS, CHAT, CHAT_, 65536, false, false},
        {"100 B, frame by frame", AI_ENDPOINT_CHAT_COMPLETIONS, CHAT, CHAT_, 0, false, false},
        {"100 B, spans of 60 B", AI_ENDPOINT_CHAT_COMPLETIONS, CHAT, CHAT_, 60, false, false},
        {"100 B, the long way", AI_ENDPOINT_CHAT_COMPLETIONS, CHAT, CHAT_, 65536, true, false},
        {"100 B, filter", AI_ENDPOINT_CHAT_COMPLETIONS, CHAT, CHAT_, 65536, false, true},
        {"OpenAI, spans of 64 KiB", AI_ENDPOINT_CHAT_COMPLETIONS, OPENAI, OPENAI_, 65536, false,
         false},
        {"OpenAI, filter, usage:null out", AI_ENDPOINT_CHAT_COMPLETIONS, OPENAI, OPENAI_, 65536,
         false, true},
        {"OpenAI, the long way", AI_ENDPOINT_CHAT_COMPLETIONS, OPENAI, OPENAI_, 65536, true, false},
        {"Anthropic, spans of 64 KiB", AI_ENDPOINT_MESSAGES, CLAUDE, CLAUDE_, 65536, false, false},
        {"Anthropic, the long way", AI_ENDPOINT_MESSAGES, CLAUDE, CLAUDE_, 65536, true, false},
    };
    struct buf stream = {0};
    unsigned n_frames;

    for (size_t i = 0; i < N_ELEMENTS(runs); i++) {
        double best = 1e18;

        fill(&stream, &runs[i], &n_frames);
        for (int k = 0; k < N_TRIES; k++)
            best = MIN(best, once(&runs[i], buf_str(&stream)));
        printf("%-32s %4.0f B/frame  %6.2f GB/s  %6.0f ns/frame\n", runs[i].name,
               (double)stream.len / n_frames, (double)stream.len / best, best / n_frames);
    }
    buf_deinit(&stream);
    buf_deinit(&out);
    return 0;
}
