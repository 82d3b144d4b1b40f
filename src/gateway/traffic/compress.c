/* See compress.h. What is made waits in `out` for the flush that follows each read of the backend,
 * so that it can be lent to the client's connection; there it is held and bounded like any other
 * answer. An answer that breaks off is flushed and never ended: neither its framing nor its coding
 * says that it was whole. */
#include "gateway/traffic/compress.h"

#include "base/limits.h"
#include "gateway/server.h"
#include "gateway/traffic/compress_plan.h"
#include "gateway/worker.h"
#include "http/grammar.h"

enum { OUT_KEPT_BYTES = 16384 /* a silent stream keeps no more of it */ };

/* ---- what is compressed ---- */

/* As Envoy has it; event streams and lines of JSON are what models answer, and not in its list. */
static bool compress_fits_type(struct str value)
{
    static const struct str types[] = {
        {"application/javascript", 22},
        {"application/json", 16},
        {"application/xhtml+xml", 21},
        {"image/svg+xml", 13},
        {"text/css", 8},
        {"text/html", 9},
        {"text/plain", 10},
        {"text/xml", 8},
        {"text/event-stream", 17},
        {"application/x-ndjson", 20},
    };
    struct str type;

    if (!str_split(&value, ';', &type))
        return false;
    type = str_trim(type);
    for (size_t i = 0; i < N_ELEMENTS(types); i++) {
        if (str_eq_nocase(type, types[i]))
            return true;
    }
    return false;
}

/* Is it one that may be compressed, for some client? A part of an answer must stay what it is, and
 * of one that ends with its connection nobody could say whether it is whole. */
static bool compress_is_fit(const struct http_response *r)
{
    const struct http_headers *h = &r->headers;
    const struct http_header *type = http_headers_find_id(h, HEADER_CONTENT_TYPE);

    if (r->status < 200 || r->status == 204 || r->status == 205 || r->status == 206 ||
        r->body == HTTP_BODY_UNTIL_CLOSE || !type || !compress_fits_type(type->value))
        return false;
    if (http_headers_find_id(h, HEADER_CONTENT_ENCODING) ||
        http_headers_find(h, STR("content-range")))
        return false;
    for (unsigned i = 0; i < h->n; i++) {
        if (str_eq(h->items[i].name, STR("cache-control")) &&
            grammar_list_has(h->items[i].value, STR("no-transform")))
            return false;
    }
    return true;
}

static bool compress_is_long_enough(const struct http_response *r, const struct compress_item *item)
{
    return !r->has_content_length || r->content_length >= item->min_bytes;
}

/* ---- by what ---- */

/* The coding that the client likes best, of those the first in the policy's order, but for what was
 * tried already. NULL: none. */
static const struct compress_item *compress_choose(const struct exchange *x, const bool *is_tried)
{
    const struct compress_plan *plan = x->rule->compress;
    const struct accept_encoding *accepts = &x->accepts;
    const struct compress_item *best = NULL;

    for (size_t i = 0; i < plan->n; i++) {
        const struct compress_item *item = &plan->items[i];
        enum encoder_coding coding = item->settings.coding;

        if (!is_tried[coding] && accept_encoding_takes(accepts, coding) &&
            compress_is_long_enough(&x->response, item) &&
            (!best || accepts->weights[coding] > accepts->weights[best->settings.coding]))
            best = item;
    }
    return best;
}

static bool compress_has_room(struct exchange *x, const struct compress_item *item,
                              uint64_t *ret_counted)
{
    struct worker *w = x->worker;

    return overload_level(&w->server->overload) == OVERLOAD_CALM &&
           held_share_take(&w->encoders, LIMIT_ENCODERS_BYTES, encoder_bytes(&item->settings),
                           ret_counted);
}

static void compress_count(struct exchange *x, struct str coding)
{
    metric_add(METRICS_SERIES(x->worker->metrics, METRIC_COMPRESSED, coding), 1);
}

/* NULL: none that is accepted, or no room for one. */
static const struct compress_item *compress_begin(struct exchange *x)
{
    const struct compress_item *item;
    bool is_tried[ENCODER_CODINGS] = {false};
    uint64_t n_counted = 0;

    while ((item = compress_choose(x, is_tried)) && !compress_has_room(x, item, &n_counted))
        is_tried[item->settings.coding] = true;
    if (item) {
        x->compress = ARENA_NEW(&x->arena, struct compress);
        x->compress->n_counted = n_counted;
        x->compress->encoder = encoder_new(&item->settings);
        compress_count(x, encoder_name(item->settings.coding));
    } else if (compress_choose(x, (bool[ENCODER_CODINGS]){false})) {
        compress_count(x, STR("none"));
    }
    return item;
}

/* ---- the head ---- */

static void compress_add_vary(struct http_headers *h)
{
    for (unsigned i = 0; i < h->n; i++) {
        struct str value = h->items[i].value;

        if (h->items[i].id == HEADER_VARY &&
            (grammar_list_has(value, STR("accept-encoding")) || grammar_list_has(value, STR("*"))))
            return;
    }
    http_headers_add_id(h, HEADER_VARY, STR("Accept-Encoding"));
}

/* Of the bytes as they came, in head or trailers. */
static void compress_drop_digests(struct http_headers *h)
{
    http_headers_remove(h, STR("digest"));
    http_headers_remove(h, STR("content-digest"));
    http_headers_remove(h, STR("repr-digest"));
    http_headers_remove(h, STR("content-md5"));
}

/* A strong validator would say that these are the backend's bytes; a client that got a part of them
 * must not ask for the rest of others. */
static void compress_write_head(struct http_response *r, enum encoder_coding coding)
{
    struct http_headers *h = &r->headers;
    struct str etag = http_headers_value(h, STR("etag"));

    if (!str_starts_with(etag, STR("W/")))
        http_headers_remove(h, STR("etag"));
    http_headers_remove(h, STR("accept-ranges"));
    compress_drop_digests(h);
    http_headers_add_id(h, HEADER_CONTENT_ENCODING, encoder_name(coding));
    r->body = HTTP_BODY_CHUNKED;
    r->has_content_length = false;
}

static bool compress_is_any_long_enough(const struct exchange *x)
{
    const struct compress_plan *plan = x->rule->compress;

    for (size_t i = 0; i < plan->n; i++) {
        if (compress_is_long_enough(&x->response, &plan->items[i]))
            return true;
    }
    return false;
}

void compress_note_request(struct exchange *x)
{
    if (!x->rule->compress)
        return;
    x->accepts = accept_encoding_parse(&x->request.headers);
    http_headers_remove_id(&x->request.headers, HEADER_ACCEPT_ENCODING);
}

void compress_open(struct exchange *x)
{
    struct http_response *r = &x->response;
    const struct compress_item *item;

    if (!x->rule->compress || !compress_is_fit(r) || !compress_is_any_long_enough(x))
        return;
    compress_add_vary(&r->headers); /* whichever way this one goes */
    if (r->body == HTTP_BODY_NONE || (!x->request.is_http2 && x->request.minor_version == 0))
        return;
    item = compress_begin(x);
    if (item)
        compress_write_head(r, item->settings.coding);
}

void compress_close(struct exchange *x)
{
    struct compress *c = x->compress;

    if (!c)
        return;
    encoder_free(c->encoder);
    c->encoder = NULL;
    buf_deinit(&c->out);
    held_share_give_back(&x->worker->encoders, &c->n_counted);
}

/* ---- the content ---- */

void compress_feed(struct exchange *x, struct str span)
{
    encoder_feed(x->compress->encoder, span, &x->compress->out);
}

static void compress_pass_on(struct exchange *x)
{
    struct downstream *d = x->downstream;

    if (x->compress->out.len > 0) /* nothing would be the last chunk */
        d->ops->send_data(d, buf_str(&x->compress->out));
}

void compress_flush_made(struct exchange *x)
{
    struct compress *c = x->compress;
    struct downstream *d = x->downstream;

    encoder_flush(c->encoder, &c->out);
    compress_pass_on(x);
    d->ops->flush(d);
    if (c->out.cap > OUT_KEPT_BYTES)
        buf_deinit(&c->out);
    buf_clear(&c->out);
    if (d->ops->is_full(d))
        attempt_pause(&x->attempt);
}

void compress_end_made(struct exchange *x)
{
    encoder_end(x->compress->encoder, &x->compress->out);
    compress_pass_on(x);
    compress_drop_digests(&x->response_trailers);
}
