/* How fast request_scan reads the 1 MB chat corpus (chat_corpus.c), as it arrives: in spans of
 * 64 KiB, UTF-8 and doubled keys checked; and what each kind of text in it costs by itself.
 * `meson test --benchmark`. Prints GB per second of one core's time, the best and the median of the
 * tries; judges nothing.
 * With an argument, writes the corpus to that file. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "llm/chat_corpus.h"
#include "llm/json/json_skip.h"
#include "llm/request_scan.h"

#define CORPUS_BYTES 1000000
#define SPAN_BYTES   65536
#define N_TRIES      101

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static int read_once(struct str text, size_t span, enum ai_endpoint endpoint)
{
    static struct request_scan s;
    int r = 0;

    request_scan_init(&s, endpoint);
    for (size_t at = 0; at < text.len && r == 0; at += span)
        r = request_scan_feed(&s, str_slice(text, at, at + span));
    return r != 0 ? r : request_scan_end(&s);
}

static int measure(const char *what, struct str text, size_t span, enum ai_endpoint endpoint)
{
    double speed[N_TRIES];

    for (unsigned i = 0; i < N_TRIES; i++) {
        double start = now_ns();
        int r = read_once(text, span, endpoint);

        if (r != 0) {
            printf("%s: refused, %d\n", what, r);
            return 1;
        }
        speed[i] = (double)text.len / (now_ns() - start);
    }
    qsort(speed, N_TRIES, sizeof speed[0], by_value);
    printf("%-7s %-22s %7zu bytes: %6.2f GB/s, median %.2f\n", json_skip->name, what, text.len,
           speed[N_TRIES - 1], speed[N_TRIES / 2]);
    return 0;
}

/* One region of the corpus, between two marks, as a body of its own. */
static void append_part(struct buf *out, struct str corpus, const char *from, const char *to)
{
    ssize_t begin = str_find(corpus, str_of(from));
    struct str part = str_slice(corpus, begin < 0 ? 0 : (size_t)begin, corpus.len);
    ssize_t end = str_find(part, str_of(to));

    part = str_slice(part, 0, end < 0 ? part.len : (size_t)end);
    buf_append_str(out, STR("{\"model\":\"m\",\"messages\":["));
    buf_append_str(out, part);
    buf_append_str(out, STR("]}"));
}

/* What costs most by the byte: one thing over and over. */
static int measure_repeated(const char *what, const char *head, const char *unit, const char *tail,
                            enum ai_endpoint endpoint)
{
    struct buf text = {0};

    buf_append_str(&text, str_of(head));
    while (text.len < CORPUS_BYTES)
        buf_append_str(&text, str_of(unit));
    buf_append_str(&text, str_of(tail));
    int r = measure(what, buf_str(&text), SPAN_BYTES, endpoint);

    buf_deinit(&text);
    return r;
}

static int measure_worst(void)
{
    static const char chat[] = "{\"model\":\"m\",\"messages\":[{\"content\":\"";
    static const char input[] = "{\"model\":\"m\",\"input\":\"";
    int r = 0;

    r |= measure_repeated("chat in \\u escapes", chat, "\\u4f60\\u597d", "\"}]}",
                          AI_ENDPOINT_CHAT_COMPLETIONS);
    r |= measure_repeated("chat in Chinese", chat, "\344\275\240\345\245\275", "\"}]}",
                          AI_ENDPOINT_CHAT_COMPLETIONS);
    r |= measure_repeated("input in Chinese", input, "\344\275\240\345\245\275", "\"}",
                          AI_ENDPOINT_EMBEDDINGS);
    r |= measure_repeated("input in \\u escapes", input, "\\u4f60\\u597d", "\"}",
                          AI_ENDPOINT_EMBEDDINGS);
    r |= measure_repeated("input of newlines", input, "\\n", "\"}", AI_ENDPOINT_EMBEDDINGS);
    r |= measure_repeated("token numbers", "{\"model\":\"m\",\"input\":[1", ",27,1542", "]}",
                          AI_ENDPOINT_EMBEDDINGS);
    r |= measure_repeated("tensor", "{\"instances\":[[1", ",-0.25,1.5e-3", "]]}",
                          AI_ENDPOINT_KSERVE_V1_PREDICT);
    r |= measure_repeated("empty objects", "{\"model\":\"m\",\"messages\":[1", ",{}", "]}",
                          AI_ENDPOINT_CHAT_COMPLETIONS);
    return r;
}

int main(int argc, char **argv)
{
    struct buf corpus = {0};
    struct buf parts[3] = {{0}, {0}, {0}};
    struct buf small = {0};
    int r = 0;

    chat_corpus_append(&corpus, CORPUS_BYTES);
    if (argc > 1) {
        FILE *file = fopen(argv[1], "wb");

        if (!file || fwrite(corpus.ptr, 1, corpus.len, file) != corpus.len || fclose(file) != 0)
            return 1;
    }
    append_part(&parts[0], buf_str(&corpus), "{\"role\":\"system\"",
                ",{\"role\":\"user\",\"content\":[");
    append_part(&parts[1], buf_str(&corpus), "{\"type\":\"function\"", "],\"tool_choice\"");
    append_part(&parts[2], buf_str(&corpus), "{\"type\":\"image_url\"", "]}],\"tools\"");
    chat_corpus_append(&small, 2000);
    for (unsigned i = 0; json_skip_usable[i]; i++) {
        json_skip = json_skip_usable[i];
        r |= measure("corpus", buf_str(&corpus), SPAN_BYTES, AI_ENDPOINT_CHAT_COMPLETIONS);
        r |= measure("corpus, 1400 byte spans", buf_str(&corpus), 1400,
                     AI_ENDPOINT_CHAT_COMPLETIONS);
        r |= measure("prose alone", buf_str(&parts[0]), SPAN_BYTES, AI_ENDPOINT_CHAT_COMPLETIONS);
        r |= measure("tool schemas alone", buf_str(&parts[1]), SPAN_BYTES,
                     AI_ENDPOINT_CHAT_COMPLETIONS);
        r |= measure("image alone", buf_str(&parts[2]), SPAN_BYTES, AI_ENDPOINT_CHAT_COMPLETIONS);
        r |= measure("2 KB of it", buf_str(&small), SPAN_BYTES, AI_ENDPOINT_CHAT_COMPLETIONS);
        r |= measure_worst();
    }
    for (unsigned i = 0; i < N_ELEMENTS(parts); i++)
        buf_deinit(&parts[i]);
    buf_deinit(&small);
    buf_deinit(&corpus);
    return r;
}
