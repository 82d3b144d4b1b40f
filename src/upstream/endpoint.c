/* Endpoint sets. Filled by whoever knows the addresses (configuration, resolver), then published
 * through a cluster and never changed. */
#include "upstream/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "upstream/balance/table.h"

struct endpoint_set *endpoint_set_new(uint32_t n, enum endpoints_state state)
{
    struct endpoint_set *s = mem_alloc_zero(sizeof *s + n * sizeof s->items[0]);

    atomic_init(&s->n_refs, 1);
    s->state = state;
    s->n = n;
    return s;
}

struct endpoint_set *endpoint_set_ref(struct endpoint_set *s)
{
    atomic_fetch_add_explicit(&s->n_refs, 1, memory_order_relaxed);
    return s;
}

void endpoint_set_unref(struct endpoint_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        endpoint_state_unref(s->items[i].state);
    endpoint_tables_free(atomic_load_explicit(&s->tables, memory_order_relaxed));
    mem_free(s);
}

static void endpoint_write_text(struct endpoint *e)
{
    char ip[INET6_ADDRSTRLEN];

    if (e->address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->address;

        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof ip);
        snprintf(e->text, sizeof e->text, "%s:%u", ip, ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&e->address;

        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof ip);
        snprintf(e->text, sizeof e->text, "[%s]:%u", ip, ntohs(v6->sin6_port));
    }
}

bool endpoint_init_ip(struct endpoint *e, struct str ip, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char text[INET6_ADDRSTRLEN];

    if (ip.len == 0 || ip.len >= sizeof text)
        return false;
    memcpy(text, ip.ptr, ip.len);
    text[ip.len] = '\0';
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        endpoint_init_address(e, (const struct sockaddr *)&v4, sizeof v4, port);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        endpoint_init_address(e, (const struct sockaddr *)&v6, sizeof v6, port);
    else
        return false;
    return true;
}

void endpoint_init_address(struct endpoint *e, const struct sockaddr *address, socklen_t len,
                           uint16_t port)
{
    PRE(len <= sizeof e->address);
    memcpy(&e->address, address, len);
    e->address_len = len;
    if (address->sa_family == AF_INET)
        ((struct sockaddr_in *)&e->address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&e->address)->sin6_port = htons(port);
    endpoint_write_text(e);
}

void endpoint_set_bind(struct endpoint_set *s, struct backend_state *b)
{
    for (uint32_t i = 0; i < s->n; i++)
        s->items[i].state = endpoint_state_get(b, s->items[i].text);
}

struct endpoint_set *endpoint_set_copy(const struct endpoint_set *s)
{
    struct endpoint_set *copy = endpoint_set_new(s->n, s->state);

    for (uint32_t i = 0; i < s->n; i++) {
        copy->items[i] = s->items[i];
        copy->items[i].state = NULL;
    }
    return copy;
}

bool endpoint_set_is_same(const struct endpoint_set *a, const struct endpoint_set *b)
{
    if (a->n != b->n || a->state != b->state)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        if (strcmp(a->items[i].text, b->items[i].text) != 0)
            return false;
    }
    return true;
}
