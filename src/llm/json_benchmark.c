/* How fast request_scan reads the 1 MB chat corpus (chat_corpus.c), as it arrives: in spans of
 * 64 KiB, UTF-8 and doubled keys checked; and what each kind of text in it costs by itself.
 * `meson test --benchmark`. Prints GB/s, the best and the median of the tries; judges nothing.
 * With an argument, writes the corpus to that file. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "llm/chat_corpus.h"
#include "llm/json_skip.h"
#include "llm/request_scan.h"

#define CORPUS_BYTES 1000000
#define SPAN_BYTES   65536
#define N_TRIES      101

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static int read_once(struct str text, size_t span)
{
    static struct request_scan s;
    int r = 0;

    request_scan_init(&s, AI_ENDPOINT_CHAT_COMPLETIONS);
    for (size_t at = 0; at < text.len && r == 0; at += span)
        r = request_scan_feed(&s, str_slice(text, at, at + span));
    return r != 0 ? r : request_scan_end(&s);
}

static int measure(const char *what, struct str text, size_t span)
{
    double speed[N_TRIES];

    for (unsigned i = 0; i < N_TRIES; i++) {
        double start = now_ns();
        int r = read_once(text, span);

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

/* One part of the corpus by itself, between two marks, as often as fills the corpus' size. */
static void append_part(struct buf *out, struct str corpus, const char *from, const char *to)
{
    ssize_t begin = str_find(corpus, str_of(from));
    struct str part = str_slice(corpus, begin < 0 ? 0 : (size_t)begin, corpus.len);
    ssize_t end = str_find(part, str_of(to));

    part = str_slice(part, 0, end < 0 ? part.len : (size_t)end);
    buf_append_str(out, STR("{\"model\":\"m\",\"messages\":["));
    while (out->len < CORPUS_BYTES) {
        buf_append_str(out, part);
        buf_append_str(out, out->len < CORPUS_BYTES ? STR(",") : STR("]}"));
    }
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
    append_part(&parts[0], buf_str(&corpus), "{\"role\":\"user\"", ",{\"role\":\"user\"");
    append_part(&parts[1], buf_str(&corpus), "{\"type\":\"function\"", "],\"tool_choice\"");
    append_part(&parts[2], buf_str(&corpus), "{\"type\":\"image_url\"", "]}],\"tools\"");
    chat_corpus_append(&small, 2000);
    for (unsigned i = 0; json_skip_usable[i]; i++) {
        json_skip = json_skip_usable[i];
        r |= measure("corpus", buf_str(&corpus), SPAN_BYTES);
        r |= measure("corpus, 1400 byte spans", buf_str(&corpus), 1400);
        r |= measure("prose alone", buf_str(&parts[0]), SPAN_BYTES);
        r |= measure("tool schemas alone", buf_str(&parts[1]), SPAN_BYTES);
        r |= measure("image alone", buf_str(&parts[2]), SPAN_BYTES);
        r |= measure("2 KB of it", buf_str(&small), SPAN_BYTES);
    }
    for (unsigned i = 0; i < N_ELEMENTS(parts); i++)
        buf_deinit(&parts[i]);
    buf_deinit(&small);
    buf_deinit(&corpus);
    return r;
}
