/* How long one request head of about 1.1 KB with 12 headers takes to read and to write again.
 * `meson test --benchmark`. Prints nanoseconds; judges nothing. */
#include <stdio.h>
#include <time.h>

#include "http/h1.h"

#define N_ROUNDS 200000u

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

int main(void)
{
    struct arena arena;
    struct h1 c;
    struct http_request q = {0};
    struct h1_event event;
    struct buf out = {0};
    size_t n_bytes = 0;
    double start = now_ns();

    arena_init(&arena, 16384);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        struct str input = str_make(head, sizeof head - 1);

        arena_reset(&arena);
        h1_init(&c, &(struct h1_options){.scheme = STR("http")});
        if (h1_next(&c, &input, &arena, &q, NULL, &event) != H1_EVENT)
            return 1;
        n_bytes += q.headers.n;
    }
    double middle = now_ns();

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        buf_clear(&out);
        h1_format_request(&out, &q);
        n_bytes += out.len;
    }
    printf("head of %zu bytes: read %.0f ns, write %.0f ns (%zu)\n", sizeof head - 1,
           (middle - start) / N_ROUNDS, (now_ns() - middle) / N_ROUNDS, n_bytes);
    buf_deinit(&out);
    arena_deinit(&arena);
    return 0;
}
