/* What control does by itself, on a server without workers. */
#include "gateway/server.h"

#include "base/limits.h"
#include "net/tls_tickets.h"
#include "test/harness/test.h"

TEST(the_sweep_replaces_the_keys_of_tickets)
{
    static struct server g;
    const struct server_options options = {.n_workers = 1};
    struct tls_ticket_key before[TLS_TICKET_KEYS], after[TLS_TICKET_KEYS];
    struct loop loop;

    CHECK_INT(loop_init(&loop), 0);
    CHECK_INT(server_init(&g, &loop, &options), 0);
    loop.now.mono_us = UINT64_C(1000000) * LIMIT_TICKET_KEY_S; /* as long as a key is the newest */
    CHECK_INT(tls_tickets_export(g.tickets, loop.now.mono_us, before), 1);
    before[0].age_us = 0;
    tls_tickets_import(g.tickets, loop.now.mono_us, before, 1);
    g.sweep.fn(&g.sweep);
    CHECK_INT(tls_tickets_export(g.tickets, loop.now.mono_us, after), 1);
    CHECK(memcmp(before[0].bytes, after[0].bytes, sizeof before[0].bytes) == 0);
    loop.now.mono_us *= 2;
    g.sweep.fn(&g.sweep);
    CHECK_INT(tls_tickets_export(g.tickets, loop.now.mono_us, after), 2);
    CHECK_INT(after[0].age_us, 0);
    CHECK(memcmp(before[0].bytes, after[0].bytes, sizeof before[0].bytes) != 0);
    CHECK(memcmp(before[0].bytes, after[1].bytes, sizeof before[0].bytes) == 0);
    server_deinit(&g);
    loop_deinit(&loop);
}
