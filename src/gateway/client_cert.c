/* See client_cert.h. Values come from the certificate, which its owner may have worded: one that
 * holds a byte of the header's own syntax is quoted, so that it cannot add an element.
 *
 * Pure; the result stands in the caller's arena. Who may be told is the policy's affair. */
#include "gateway/client_cert.h"

static bool cert_value_is_plain(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (memchr(",;=\"\\ ", value.ptr[i], 6))
            return false;
    }
    return value.len > 0;
}

static void cert_add(struct buf *out, const char *key, struct str value)
{
    bool is_plain = cert_value_is_plain(value);

    buf_printf(out, "%s%s=%s", out->len > 0 ? ";" : "", key, is_plain ? "" : "\"");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\')
            buf_append_char(out, '\\');
        buf_append_char(out, value.ptr[i]);
    }
    if (!is_plain)
        buf_append_char(out, '"');
}

/* In quotes whatever it is, with the escapes that it brings (RFC 2253, percent-encoding). */
static void cert_add_quoted(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, ";%s=\"%.*s\"", key, STR_ARG(value));
}

static void cert_add_names(struct buf *out, const char *key, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cert_add(out, key, names[i]);
}

static bool cert_has(uint32_t details, enum client_cert detail)
{
    return (details >> detail & 1) != 0;
}

struct str client_cert_format(const struct tls_peer *peer, uint32_t details, struct arena *a)
{
    struct buf out = {0};
    struct str text;

    cert_add_names(&out, "By", peer->local_uris, peer->n_local_uris);
    cert_add(&out, "Hash", peer->hash);
    if (cert_has(details, CLIENT_CERT_CERT))
        cert_add_quoted(&out, "Cert", peer->certificate);
    if (cert_has(details, CLIENT_CERT_CHAIN))
        cert_add_quoted(&out, "Chain", peer->chain);
    if (cert_has(details, CLIENT_CERT_SUBJECT))
        cert_add_quoted(&out, "Subject", peer->subject);
    if (cert_has(details, CLIENT_CERT_URI)) {
        cert_add_names(&out, "URI", peer->uris, peer->n_uris);
        if (peer->n_uris == 0)
            buf_append_str(&out, STR(";URI=")); /* as Envoy does */
    }
    if (cert_has(details, CLIENT_CERT_DNS))
        cert_add_names(&out, "DNS", peer->dns_names, peer->n_dns_names);
    text = arena_str(a, buf_str(&out));
    buf_deinit(&out);
    return text;
}
