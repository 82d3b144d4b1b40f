/* See conn_proxy.h. */
#include "upstream/conn_proxy.h"

#include "base/assert.h"
#include "base/mem.h"
#include "upstream/attempt.h"

static struct str conn_proxy_header(enum proxy_version version, const struct attempt *a)
{
    return a->proxy_header.len > 0 ? a->proxy_header : proxy_header_local(version);
}

struct conn_proxy *conn_proxy_new(enum proxy_version version, const struct attempt *a)
{
    struct str header = conn_proxy_header(version, a);
    struct conn_proxy *p = MEM_NEW(struct conn_proxy);

    ASSERT(header.len < sizeof p->bytes);
    memcpy(p->bytes, header.ptr, header.len);
    p->header = str_make(p->bytes, header.len);
    return p;
}

bool conn_proxy_is_of(const struct conn *c, const struct attempt *a)
{
    return str_eq(c->proxy->header, conn_proxy_header(c->pool->cluster->transport.proxy, a));
}
