/* Decoding of Kubernetes' core objects. Only what a gateway uses is kept; the other documented
 * fields are listed as known, so that a full `kubectl get -o yaml` is accepted while a misspelt
 * field is still noticed.
 *
 * Owner: the load's arena. Secret values are overwritten when that arena goes. Thread: the compile
 * thread; immutable afterwards. */
#include "manifest/core.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "manifest/common.h"
#include "manifest/kind.h"

static void decode_ignored(struct decoder *d, const struct field *f, const struct node *node,
                           void *slot)
{
    (void)d;
    (void)f;
    (void)node;
    (void)slot;
}
/* Known to the API, without meaning for a gateway. */
#define FIELD_IGNORED(key)                                                                         \
    {                                                                                              \
        key, decode_ignored, 0, 0, NULL, "Without meaning for a gateway."                          \
    }

static const struct field k8s_namespace_spec_fields[] = {
    FIELD_IGNORED("spec"),
};
const struct table k8s_namespace_spec_table = TABLE(k8s_namespace_spec);

/* KEP-3726: kubernetes.io/h2c, with whatever domain before it. */
static struct str app_protocol_name(struct str protocol)
{
    ssize_t slash = str_find_char(protocol, '/', 0);

    return str_slice(protocol, (size_t)(slash + 1), protocol.len);
}

bool app_protocol_is_tls(struct str protocol)
{
    struct str name = app_protocol_name(protocol);

    return str_eq_nocase(name, STR("https")) || str_eq_nocase(name, STR("wss"));
}

/* Whether https and wss are heeded is for link to say: other objects set up TLS. */
static void check_app_protocol(struct decoder *d, const struct node *node, struct str protocol)
{
    static const char *const spoken[] = {"", "http", "ws", "h2c", "grpc"};
    struct str name = app_protocol_name(protocol);

    for (size_t i = 0; i < N_ELEMENTS(spoken); i++) {
        if (str_eq_nocase(name, str_of(spoken[i])))
            return;
    }
    if (!app_protocol_is_tls(protocol))
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "appProtocol"), "appProtocol",
                       "not known: HTTP/1.1 is spoken; HTTP/2 is kubernetes.io/h2c");
}

static void service_port_check(struct decoder *d, const struct node *node, void *object)
{
    check_app_protocol(d, node, ((const struct service_port *)object)->app_protocol);
}

static const struct field service_port_fields[] = {
    FIELD_STR(service_port, name, "name", 0, "Name of the port."),
    FIELD_STR(service_port, protocol, "protocol", 0, "TCP unless given."),
    FIELD_STR(service_port, app_protocol, "appProtocol", 0, "What is spoken there."),
    FIELD_INT(service_port, port, "port", FIELD_REQUIRED, &port_range, "Port of the Service."),
    FIELD_INT_OR_STR(service_port, target_port, "targetPort", 0, "Port of the endpoints."),
    FIELD_IGNORED("nodePort"),
};
static const struct table service_port_table = TABLE_CHECKED(service_port, service_port_check);
static const struct field service_spec_fields[] = {
    FIELD_LIST(service_spec, ports, "ports", 0, service_port, "Ports of the Service."),
    FIELD_STR(service_spec, type, "type", 0, "ClusterIP unless given."),
    FIELD_STR(service_spec, external_name, "externalName", 0, "With type ExternalName: the name."),
    FIELD_STR(service_spec, cluster_ip, "clusterIP", 0, "\"None\": headless."),
    FIELD_IGNORED("selector"),
    FIELD_IGNORED("clusterIPs"),
    FIELD_IGNORED("externalIPs"),
    FIELD_IGNORED("sessionAffinity"),
    FIELD_IGNORED("sessionAffinityConfig"),
    FIELD_IGNORED("loadBalancerIP"),
    FIELD_IGNORED("loadBalancerSourceRanges"),
    FIELD_IGNORED("loadBalancerClass"),
    FIELD_IGNORED("allocateLoadBalancerNodePorts"),
    FIELD_IGNORED("externalTrafficPolicy"),
    FIELD_IGNORED("internalTrafficPolicy"),
    FIELD_IGNORED("trafficDistribution"),
    FIELD_IGNORED("healthCheckNodePort"),
    FIELD_IGNORED("publishNotReadyAddresses"),
    FIELD_IGNORED("ipFamilies"),
    FIELD_IGNORED("ipFamilyPolicy"),
};
const struct table service_spec_table = TABLE(service_spec);

static const struct field endpoint_conditions_fields[] = {
    FIELD_BOOL(endpoint_conditions, ready, "ready", 0, "Takes traffic; true unless given."),
    FIELD_BOOL(endpoint_conditions, serving, "serving", 0, "Answers, ready or not."),
    FIELD_BOOL(endpoint_conditions, terminating, "terminating", 0, "Is going away."),
};
static const struct table endpoint_conditions_table = TABLE(endpoint_conditions);
static const struct field slice_endpoint_fields[] = {
    FIELD_STRS(slice_endpoint, addresses, "addresses", FIELD_REQUIRED | FIELD_NON_EMPTY,
               "Addresses."),
    FIELD_OBJECT(slice_endpoint, conditions, "conditions", 0, endpoint_conditions, "State."),
    FIELD_IGNORED("hostname"),
    FIELD_IGNORED("targetRef"),
    FIELD_IGNORED("nodeName"),
    FIELD_IGNORED("zone"),
    FIELD_IGNORED("hints"),
    FIELD_IGNORED("deprecatedTopology"),
};
static const struct table slice_endpoint_table = TABLE(slice_endpoint);
static void endpoint_port_check(struct decoder *d, const struct node *node, void *object)
{
    check_app_protocol(d, node, ((const struct endpoint_port *)object)->app_protocol);
}

static const struct field endpoint_port_fields[] = {
    FIELD_STR(endpoint_port, name, "name", 0, "Name of the Service's port."),
    FIELD_STR(endpoint_port, protocol, "protocol", 0, "TCP unless given."),
    FIELD_STR(endpoint_port, app_protocol, "appProtocol", 0, "What is spoken there."),
    FIELD_INT(endpoint_port, port, "port", 0, &port_range, "Port of the endpoints."),
};
static const struct table endpoint_port_table = TABLE_CHECKED(endpoint_port, endpoint_port_check);
static const char *const address_type_names[] = {"IPv4", "IPv6", "FQDN", NULL};
static const struct field endpoint_slice_spec_fields[] = {
    FIELD_ENUM(endpoint_slice_spec, address_type, "addressType", FIELD_REQUIRED, address_type_names,
               "Form of the addresses."),
    FIELD_LIST(endpoint_slice_spec, endpoints, "endpoints", 0, slice_endpoint, "The endpoints."),
    FIELD_LIST(endpoint_slice_spec, ports, "ports", 0, endpoint_port, "Their ports."),
};
static void endpoint_address_check(struct decoder *d, const struct slice_endpoint *e,
                                   int address_type)
{
    unsigned char bytes[16];
    struct node at = {.mark = e->mark};

    for (size_t i = 0; i < e->addresses.n; i++) {
        char text[64];

        snprintf(text, sizeof text, "%.*s",
                 STR_ARG(str_slice(e->addresses.items[i], 0, sizeof text - 1)));
        if (address_type != ENDPOINT_FQDN &&
            inet_pton(address_type == ENDPOINT_IPV4 ? AF_INET : AF_INET6, text, bytes) != 1)
            decode_error(d, DIAG_INVALID_VALUE, &at, "addresses", "\"%s\" is not an %s address",
                         text, address_type == ENDPOINT_IPV4 ? "IPv4" : "IPv6");
    }
}
static void endpoint_slice_spec_check(struct decoder *d, const struct node *node, void *object)
{
    const struct endpoint_slice_spec *s = object;

    (void)node;
    for (size_t i = 0; s->address_type >= 0 && i < s->endpoints.n; i++)
        endpoint_address_check(d, &s->endpoints.items[i], s->address_type);
}
const struct table endpoint_slice_spec_table =
    TABLE_CHECKED(endpoint_slice_spec, endpoint_slice_spec_check);

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, section 4, with padding; line breaks (a folded block) are passed over. */
static bool base64_decode(struct str in, char *out, size_t *ret_len)
{
    unsigned bits = 0;
    int n_bits = 0;
    size_t n_digits = 0;
    size_t n_pads = 0;
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        int digit = base64_digit(in.ptr[i]);

        if (in.ptr[i] == '\n' || in.ptr[i] == '\r' || in.ptr[i] == ' ')
            continue;
        if (in.ptr[i] == '=' && n_pads < 2) {
            n_pads++;
            continue;
        }
        if (digit < 0 || n_pads > 0)
            return false;
        bits = (bits << 6 | (unsigned)digit) & 0xffffff;
        n_bits += 6;
        n_digits++;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (char)(bits >> n_bits & 0xff);
        }
    }
    *ret_len = n;
    return (n_digits + n_pads) % 4 == 0;
}

/* struct text_pair_vec from a map of base64 text. Never prints a value. */
static void decode_base64_map(struct decoder *d, const struct field *f, const struct node *node,
                              void *slot)
{
    struct text_pair_vec *vec = slot;

    decode_text_map(d, f, node, slot);
    VEC_FOREACH (vec, pair) {
        char *bytes = arena_bytes(d->arena, pair->value.len + 1);
        struct node at = {.mark = pair->mark};
        size_t len;

        if (!base64_decode(pair->value, bytes, &len)) {
            decode_error(d, DIAG_INVALID_VALUE, &at, arena_text(d->arena, pair->key),
                         "is not base64 (RFC 4648)");
            len = 0;
        }
        bytes[len] = '\0';
        pair->value = str_make(bytes, len);
    }
}

static const struct text_pair *pairs_find(const struct text_pair_vec *vec, struct str key)
{
    VEC_FOREACH (vec, pair) {
        if (str_eq(pair->key, key))
            return pair;
    }
    return NULL;
}

/* Through a table: what one file may hold is too much for its square. */
static void pairs_fold(struct arena *a, struct text_pair_vec *into,
                       const struct text_pair_vec *from)
{
    struct map by_key = {0};

    for (size_t i = 0; from->n > 0 && i < into->n; i++)
        map_put(&by_key, into->items[i].key, (void *)(uintptr_t)(i + 1));
    VEC_FOREACH (from, pair) {
        uintptr_t same = (uintptr_t)map_find(&by_key, pair->key);

        if (same > 0)
            into->items[same - 1] = *pair;
        else
            VEC_PUSH(a, into, *pair);
    }
    map_deinit(&by_key);
}

static const struct field secret_spec_fields[] = {
    FIELD_STR(secret_spec, type, "type", 0, "Opaque, kubernetes.io/tls, ..."),
    FIELD_OTHER(secret_spec, data, "data", FIELD_SECRET, decode_base64_map, NULL,
                "Values in base64."),
    FIELD_TEXT_MAP(secret_spec, string_data, "stringData", FIELD_SECRET,
                   "Values as they are; they win over data."),
    FIELD_IGNORED("immutable"),
};
static void secret_spec_check(struct decoder *d, const struct node *node, void *object)
{
    struct secret_spec *s = object;

    (void)node;
    pairs_fold(d->arena, &s->data, &s->string_data);
}
const struct table secret_spec_table = TABLE_CHECKED(secret_spec, secret_spec_check);

static const struct field config_map_spec_fields[] = {
    FIELD_TEXT_MAP(config_map_spec, data, "data", 0, "Texts by key."),
    FIELD_OTHER(config_map_spec, binary_data, "binaryData", 0, decode_base64_map, NULL,
                "Values in base64."),
    FIELD_IGNORED("immutable"),
};
static void config_map_spec_check(struct decoder *d, const struct node *node, void *object)
{
    struct config_map_spec *s = object;

    (void)node;
    pairs_fold(d->arena, &s->data, &s->binary_data);
}
const struct table config_map_spec_table = TABLE_CHECKED(config_map_spec, config_map_spec_check);

static struct str pairs_value(const struct text_pair_vec *vec, const char *key)
{
    const struct text_pair *pair = pairs_find(vec, str_of(key));

    return pair ? pair->value : STR_NULL;
}

struct str secret_find(const struct secret *s, const char *key)
{
    return pairs_value(&s->spec.data, key);
}

struct str config_map_find(const struct config_map *c, const char *key)
{
    return pairs_value(&c->spec.data, key);
}

struct str keeper_find(const struct object *o, const char *key)
{
    if (o && o->kind->id == KIND_SECRET)
        return secret_find(CONTAINER_OF(o, struct secret, object), key);
    if (o && o->kind->id == KIND_CONFIG_MAP)
        return config_map_find(CONTAINER_OF(o, struct config_map, object), key);
    return STR_NULL;
}

struct str keeper_find_or_first(const struct object *o, const char *key)
{
    struct str found = keeper_find(o, key);

    if (!found.ptr && o && o->kind->id == KIND_CONFIG_MAP) {
        const struct config_map *c = CONTAINER_OF(o, struct config_map, object);

        if (c->spec.data.n > 0)
            found = c->spec.data.items[0].value;
    }
    return found;
}

const struct service_port *service_find_port(const struct service *s, int64_t port)
{
    VEC_FOREACH (&s->spec.ports, p) {
        if (p->port.is_set && p->port.value == port)
            return p;
    }
    return NULL;
}

static void node_wipe(const struct node *node)
{
    if (node->type == NODE_SCALAR && node->text.len > 0)
        mem_wipe((void *)(uintptr_t)node->text.ptr, node->text.len);
    for (size_t i = 0; i < node->n; i++)
        node_wipe(node->type == NODE_MAP ? node->entries[i].value : node->items[i]);
}

void secret_wipe(void *object)
{
    struct secret *s = object;
    const char *const keys[] = {"data", "stringData"};

    VEC_FOREACH (&s->spec.data, pair) {
        if (pair->value.len > 0)
            mem_wipe((void *)(uintptr_t)pair->value.ptr, pair->value.len);
    }
    for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
        const struct node *node = node_find(s->object.source, keys[i]);

        if (node)
            node_wipe(node);
    }
}
