/* How long one request head of about 1.1 KB with 12 headers takes to read and to write again.
 * `meson test --benchmark`. Prints nanoseconds; judges nothing. */
#include <stdio.h>
#include <time.h>

#include "http/h1.h"

#define N_ROUNDS 20000u
#define N_TRIES  20u

static const char head[] =
    "POST /v1/models/sklearn-iris:predict HTTP/1.1\r\n"
    "Host: inference.example.com\r\n"
    "User-Agent: python-requests/2.31.0\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\n"
    "Connection: keep-alive\r\n"
    "Content-Type: application/json\r\n"
    "X-Request-Id: 0f9a3b52-8f0e-4c2f-9f5d-2f2a6d0f6a11\r\n"
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
    "Cache-Control: no-cache\r\n"
    "X-Client: bench\r\n"
    "Content-Length: 48\r\n"
    "Authorization: Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0."
    "eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoiaW5mZXJlbmNlIiwic3ViIjoidGVuYW50LWEifQ"
    "eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoiaW5mZXJlbmNlIiwic3ViIjoidGVuYW50LWEifQ"
    ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
    "\r\n";

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct arena arena;

static double read_ns(struct http_request *q)
{
    struct h1 c;
    struct h1_event event;
    double start = now_ns();

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        struct str input = str_make(head, sizeof head - 1);

        arena_reset(&arena);
        h1_init(&c, &(struct h1_options){.scheme = STR("http")});
        if (h1_next(&c, &input, &arena, q, NULL, &event) != H1_EVENT)
            return -1;
    }
    return (now_ns() - start) / N_ROUNDS;
}

static double write_ns(const struct http_request *q, struct buf *out)
{
    double start = now_ns();

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        buf_clear(out);
        h1_format_request(out, q);
    }
    return (now_ns() - start) / N_ROUNDS;
}

int main(void)
{
    struct http_request q = {0};
    struct buf out = {0};
    double best_read = 1e9;
    double best_write = 1e9;

    arena_init(&arena, 16384);
    for (unsigned i = 0; i < N_TRIES; i++) {
        best_read = MIN(best_read, read_ns(&q));
        best_write = MIN(best_write, write_ns(&q, &out));
    }
    printf("head of %zu bytes, best of %u: read %.0f ns, write %.0f ns\n", sizeof head - 1, N_TRIES,
           best_read, best_write);
    buf_deinit(&out);
    arena_deinit(&arena);
    return best_read < 0;
}
