/* How long one route lookup takes with 10 and with 5 000 routes, requests uniform over all of them,
 * for the three shapes of large tables. `meson test --benchmark`. Prints nanoseconds; judges
 * nothing. Each request comes from memory of its own, as a head that was just read would not: its
 * own cache misses are in the figures. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/random.h"
#include "policy/route_cursor.h"

#define N_LOOKUPS 65536u
#define N_TRIES   9u
#define N_SMALL   10u
#define N_LARGE   5000u

enum shape {
    SHAPE_PREFIXES, /* many prefixes on one host */
    SHAPE_VALUES,   /* one prefix, many values of one header */
    SHAPE_HOSTS,    /* many hosts */
    SHAPE_COUNT_,
};

static const char *const shape_texts[] = {"prefixes on one host", "values of one header", "hosts"};

struct table {
    struct arena arena;
    struct arena request_arena;
    struct http_request *requests;
    const struct route_table *routes;
    unsigned n;
};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void add_route(struct table *t, struct route_table_builder *b, enum shape shape, unsigned i)
{
    struct http_request *request = &t->requests[i];
    struct str text = arena_printf(&t->request_arena, "model-%u.example.com", i);
    struct route_field_spec header = {STR("x-version"), text, false};
    struct route_spec spec = {.path = STR("/v1"), .rule_index = i};

    request->path = STR("/v1/predict");
    request->host = STR("example.com");
    http_headers_init(&request->headers, &t->request_arena);
    http_headers_add(&request->headers, STR("user-agent"), STR("curl"));
    http_headers_add(&request->headers, STR("accept"), STR("*/*"));
    if (shape == SHAPE_PREFIXES) {
        spec.path = arena_printf(&t->request_arena, "/v1/models/%.*s", STR_ARG(text));
        request->path = arena_printf(&t->request_arena, "%.*s/infer", STR_ARG(spec.path));
    } else if (shape == SHAPE_VALUES) {
        spec.headers = &header;
        spec.n_headers = 1;
        http_headers_add(&request->headers, header.name, text);
    } else {
        spec.hosts = &text;
        spec.n_hosts = 1;
        request->host = text;
    }
    if (route_table_builder_add(b, &spec, NULL) != 0)
        abort();
}

static void table_init(struct table *t, enum shape shape, unsigned n)
{
    struct name_set late = {0};

    arena_init(&t->arena, 65536);
    arena_init(&t->request_arena, 65536);
    t->requests = mem_alloc_zero(n * sizeof *t->requests);
    t->n = n;
    struct route_table_builder *b = route_table_builder_new(&t->arena, &late);

    for (unsigned i = 0; i < n; i++)
        add_route(t, b, shape, i);
    t->routes = route_table_build(b);
}

static double lookup_ns(const struct table *t, struct random *r)
{
    static uint32_t picks[N_LOOKUPS];

    for (unsigned i = 0; i < N_LOOKUPS; i++)
        picks[i] = random_below(r, t->n);
    double start = now_ns();

    for (unsigned i = 0; i < N_LOOKUPS; i++) {
        struct route_cursor cursor;
        const struct route_match *m;

        route_cursor_init(&cursor, t->routes, &t->requests[picks[i]], false);
        if (route_cursor_next(&cursor, &m) != ROUTE_CANDIDATE)
            abort();
    }
    return (now_ns() - start) / N_LOOKUPS;
}

static double best_ns(enum shape shape, unsigned n)
{
    struct table t;
    struct random r;
    double best = 1e9;

    random_init_seed(&r, 1);
    table_init(&t, shape, n);
    for (unsigned i = 0; i < N_TRIES; i++) {
        double ns = lookup_ns(&t, &r);

        best = MIN(best, ns);
    }
    arena_deinit(&t.arena);
    arena_deinit(&t.request_arena);
    mem_free(t.requests);
    return best;
}

int main(void)
{
    for (int shape = 0; shape < SHAPE_COUNT_; shape++) {
        printf("%s, best of %u: %u routes %.0f ns, %u routes %.0f ns\n", shape_texts[shape],
               N_TRIES, N_SMALL, best_ns((enum shape)shape, N_SMALL), N_LARGE,
               best_ns((enum shape)shape, N_LARGE));
    }
    return 0;
}
