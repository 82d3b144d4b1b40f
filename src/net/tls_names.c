/* See tls_client_rule.h. A name of a certificate is compared as a whole and byte by byte: one with
 * a NUL or beyond ASCII inside is no name that a policy can mean, and a wildcard is a name like any
 * other, since nobody connects to a client. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "net/tls_client_rule.h"

enum { OID_TEXT_BYTES = 128 };

void tls_pattern_unref(struct tls_pattern *p)
{
    if (p && atomic_fetch_sub_explicit(&p->n_refs, 1, memory_order_acq_rel) == 1)
        p->free(p);
}

bool tls_oid_is_valid(struct str oid)
{
    char text[OID_TEXT_BYTES], again[OID_TEXT_BYTES];
    ASN1_OBJECT *object;
    bool is_same;

    if (oid.len >= sizeof text || memchr(oid.ptr, '\0', oid.len))
        return false;
    memcpy(text, oid.ptr, oid.len);
    text[oid.len] = '\0';
    object = OBJ_txt2obj(text, 1);
    is_same = object && OBJ_obj2txt(again, sizeof again, object, 1) == (int)oid.len &&
              memcmp(text, again, oid.len) == 0;
    ASN1_OBJECT_free(object);
    ERR_clear_error();
    return is_same;
}

static struct str name_copy_text(char **at, struct str text)
{
    char *copy = *at;

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *at += text.len;
    return str_make(copy, text.len);
}

struct tls_name *tls_names_copy(const struct tls_name *names, size_t n)
{
    size_t n_bytes = 0;
    struct tls_name *copy;
    char *text;

    for (size_t i = 0; i < n; i++)
        n_bytes += names[i].value.len + names[i].oid.len;
    copy = mem_alloc_zero((n + 1) * sizeof *copy + n_bytes);
    text = (char *)(copy + n + 1);
    for (size_t i = 0; i < n; i++) {
        copy[i] = names[i];
        copy[i].value = name_copy_text(&text, names[i].value);
        copy[i].oid = name_copy_text(&text, names[i].oid);
        if (copy[i].pattern)
            atomic_fetch_add_explicit(&copy[i].pattern->n_refs, 1, memory_order_relaxed);
    }
    return copy;
}

void tls_names_free(struct tls_name *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tls_pattern_unref(names[i].pattern);
    mem_free(names);
}

void tls_names_format(const struct tls_name *names, size_t n, struct buf *to)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(to, " %d%d%zu:", (int)names[i].kind, (int)names[i].match, names[i].value.len);
        buf_append_str(to, names[i].value);
        if (names[i].kind == TLS_NAME_OTHER)
            buf_printf(to, " %.*s", STR_ARG(names[i].oid));
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
    case TLS_NAME_PATTERN:
        return rule->pattern->matches(rule->pattern, name);
    }
    return false;
}

static const ASN1_STRING *name_string(const GENERAL_NAME *name)
{
    const ASN1_TYPE *value;

    if (name->type != GEN_OTHERNAME)
        return name->d.ia5;
    value = name->d.otherName->value;
    switch (value->type) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_VISIBLESTRING:
    case V_ASN1_NUMERICSTRING:
        return value->value.asn1_string;
    default:
        return NULL; /* no text that a policy could mean */
    }
}

static struct str name_text(const GENERAL_NAME *name, char room[INET6_ADDRSTRLEN])
{
    const ASN1_STRING *string;
    struct str text;

    if (name->type == GEN_IPADD)
        return name_ip_text(name->d.iPAddress, room);
    string = name_string(name);
    if (!string)
        return STR("");
    text = str_make(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return STR("");
    }
    return text;
}

static bool name_is_of(const struct tls_name *rule, const GENERAL_NAME *name)
{
    char text[OID_TEXT_BYTES];
    int n;

    if (rule->kind != TLS_NAME_OTHER)
        return true;
    n = OBJ_obj2txt(text, sizeof text, name->d.otherName->type_id, 1);
    return n > 0 && n < (int)sizeof text && str_eq(rule->oid, str_of(text));
}

static bool name_passes(const struct tls_name *rules, size_t n, const GENERAL_NAME *name)
{
    static const int types[] = {[TLS_NAME_DNS] = GEN_DNS,
                                [TLS_NAME_EMAIL] = GEN_EMAIL,
                                [TLS_NAME_IP] = GEN_IPADD,
                                [TLS_NAME_URI] = GEN_URI,
                                [TLS_NAME_OTHER] = GEN_OTHERNAME};
    char room[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < n; i++) {
        if (types[rules[i].kind] == name->type && name_is_of(&rules[i], name)) {
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
