/* See tls_client_rule.h. A name of a certificate is compared as a whole and byte by byte: one with
 * a NUL or beyond ASCII inside is no name that a policy can mean, and a wildcard is a name like any
 * other, since nobody connects to a client. */
#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "net/tls_client_rule.h"

struct tls_name *tls_names_copy(const struct tls_name *names, size_t n)
{
    size_t n_bytes = 0;
    struct tls_name *copy;
    char *text;

    for (size_t i = 0; i < n; i++)
        n_bytes += names[i].value.len;
    copy = mem_alloc_zero((n + 1) * sizeof *copy + n_bytes);
    text = (char *)(copy + n + 1);
    for (size_t i = 0; i < n; i++) {
        copy[i] = names[i];
        copy[i].value.ptr = text;
        if (names[i].value.len > 0)
            memcpy(text, names[i].value.ptr, names[i].value.len);
        text += names[i].value.len;
    }
    return copy;
}

void tls_names_format(const struct tls_name *names, size_t n, struct buf *to)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(to, " %d%d%zu:", (int)names[i].kind, (int)names[i].match, names[i].value.len);
        buf_append_str(to, names[i].value);
    }
}

/* The address of an iPAddress name as text; empty: it is none. */
static struct str name_ip_text(const ASN1_OCTET_STRING *ip, char room[INET6_ADDRSTRLEN])
{
    int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;

    if (family == AF_INET6 && ASN1_STRING_length(ip) != 16)
        return STR("");
    return inet_ntop(family, ASN1_STRING_get0_data(ip), room, INET6_ADDRSTRLEN) ? str_of(room)
                                                                                : STR("");
}

/* An address in the one spelling, where it is one. */
static struct str name_ip_normal(struct str text, char room[INET6_ADDRSTRLEN])
{
    unsigned char bytes[sizeof(struct in6_addr)];
    int family = str_find_char(text, ':', 0) >= 0 ? AF_INET6 : AF_INET;

    if (text.len >= INET6_ADDRSTRLEN)
        return text;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    if (inet_pton(family, room, bytes) == 1 && inet_ntop(family, bytes, room, INET6_ADDRSTRLEN))
        return str_of(room);
    return text;
}

static bool name_matches(const struct tls_name *rule, struct str name)
{
    char room[INET6_ADDRSTRLEN];
    struct str value = rule->value;
    bool is_dns = rule->kind == TLS_NAME_DNS;

    if (rule->kind == TLS_NAME_IP && rule->match == TLS_NAME_EXACT)
        value = name_ip_normal(value, room);
    switch (rule->match) {
    case TLS_NAME_EXACT:
        return is_dns ? str_eq_nocase(name, value) : str_eq(name, value);
    case TLS_NAME_PREFIX:
        return is_dns ? str_starts_with_nocase(name, value) : str_starts_with(name, value);
    case TLS_NAME_SUFFIX:
        return is_dns ? str_ends_with_nocase(name, value) : str_ends_with(name, value);
    }
    return false;
}

static struct str name_text(const GENERAL_NAME *name, char room[INET6_ADDRSTRLEN])
{
    struct str text;

    if (name->type == GEN_IPADD)
        return name_ip_text(name->d.iPAddress, room);
    text = str_make(ASN1_STRING_get0_data(name->d.ia5), (size_t)ASN1_STRING_length(name->d.ia5));
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return STR("");
    }
    return text;
}

static bool name_passes(const struct tls_name *rules, size_t n, const GENERAL_NAME *name)
{
    static const int types[] = {[TLS_NAME_DNS] = GEN_DNS,
                                [TLS_NAME_EMAIL] = GEN_EMAIL,
                                [TLS_NAME_IP] = GEN_IPADD,
                                [TLS_NAME_URI] = GEN_URI};
    char room[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < n; i++) {
        if (types[rules[i].kind] == name->type) {
            struct str text = name_text(name, room);

            if (text.len > 0 && name_matches(&rules[i], text))
                return true;
        }
    }
    return false;
}

bool tls_names_pass(const struct tls_name *names, size_t n, const struct x509_st *certificate)
{
    GENERAL_NAMES *own;
    bool passes = false;

    if (n == 0)
        return true;
    own = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; own && !passes && i < sk_GENERAL_NAME_num(own); i++)
        passes = name_passes(names, n, sk_GENERAL_NAME_value(own, i));
    GENERAL_NAMES_free(own);
    return passes;
}
