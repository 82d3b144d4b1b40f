/* See dry_compile.h. Compiling finds what only it can (log formats, patterns, TLS). */
#include "app/dry_compile.h"

#include "gateway/compile/compile_pass.h"

static void dry_compile_on_news(void *ctx UNUSED)
{
}

/* The registries want a loop, which never turns. */
int dry_compile_run(struct dry_compile *d, const struct options *o, struct manifest *m)
{
    struct compile_input input = {.options = &o->server,
                                  .clusters = &d->clusters,
                                  .feeds = &d->feeds,
                                  .limits = &d->limits.store};
    int code = loop_init(&d->loop);

    if (code < 0)
        return code;
    cluster_registry_init(&d->clusters);
    limit_memory_init(&d->limits);
    upstreams_init(&d->upstreams, &d->loop, &d->outboxes, NULL, 0);
    key_feed_registry_init(&d->feeds, &d->upstreams, dry_compile_on_news, NULL);
    return compile_pass(&input, m, &d->snapshot);
}

void dry_compile_deinit(struct dry_compile *d)
{
    if (!d->snapshot)
        return;
    snapshot_free(d->snapshot);
    key_feed_registry_deinit(&d->feeds);
    upstreams_deinit(&d->upstreams);
    cluster_registry_deinit(&d->clusters);
    limit_memory_deinit(&d->limits);
    loop_deinit(&d->loop);
    *d = (struct dry_compile){0};
}
