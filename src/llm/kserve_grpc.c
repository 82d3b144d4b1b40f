/* See kserve_grpc.h. A message stands behind a prefix of five bytes, a flag and its length (gRPC
 * over HTTP/2, "Length-Prefixed-Message"); its fields are keys and values (Protocol Buffers,
 * "Encoding"):
 *
 *   PREFIX --> KEY --varint--> VALUE --+
 *               ^ \--length--> LENGTH --> NAME or SKIP
 *               |  \--fixed-----------------> SKIP
 *               +------------------------------+
 *
 * Values of other fields are skipped by their lengths: what stands inside of them is no field of
 * the message. Owner: the caller; borrows nothing. Thread: one. */
#include "llm/kserve_grpc.h"

#include "llm/kserve.h"

enum kserve_grpc_part {
    PART_PREFIX,
    PART_KEY,
    PART_VALUE,
    PART_LENGTH,
    PART_NAME,
    PART_SKIP,
};

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_LENGTH = 2,
    WIRE_FIXED32 = 5, /* between them, the groups of the second version */
};

enum {
    PREFIX_BYTES = 5,
    NUMBER_BYTES_MAX = 10, /* of 64 bits, seven a byte */
    FIELD_MODEL = 1,       /* model_name; name in the requests about a model */
    KEY_TYPE_BITS = 3,
};

/* Where servers disagree on a layout (RepositoryModelLoad: KServe has the model in field 1, Triton
 * in field 2), where a call has many messages (ModelStreamInfer), and of what no server is known to
 * have, the model is not read. */
static const struct {
    struct str method;
    enum kserve_rpc rpc;
} methods[] = {
    {STR("ServerLive"), KSERVE_RPC_BARE},       {STR("ServerReady"), KSERVE_RPC_BARE},
    {STR("ServerMetadata"), KSERVE_RPC_BARE},   {STR("RepositoryIndex"), KSERVE_RPC_BARE},
    {STR("ModelReady"), KSERVE_RPC_NAMED},      {STR("ModelMetadata"), KSERVE_RPC_NAMED},
    {STR("ModelInfer"), KSERVE_RPC_NAMED},      {STR("ModelConfig"), KSERVE_RPC_NAMED},
    {STR("ModelStatistics"), KSERVE_RPC_NAMED},
};

enum kserve_rpc kserve_grpc_find_method(struct str method)
{
    for (size_t i = 0; i < N_ELEMENTS(methods); i++) {
        if (str_eq(methods[i].method, method))
            return methods[i].rpc;
    }
    return KSERVE_RPC_UNREAD;
}

enum kserve_rpc kserve_grpc_find(struct str path)
{
    static const struct str folder = STR("/" KSERVE_GRPC_SERVICE "/");

    if (!str_starts_with(path, folder))
        return KSERVE_RPC_NONE;
    return kserve_grpc_find_method(str_slice(path, folder.len, path.len));
}

static void fail(struct kserve_grpc *k, enum kserve_grpc_condition why)
{
    if (k->condition == 0)
        k->condition = (uint8_t)why;
}

static void expect(struct kserve_grpc *k, enum kserve_grpc_part part)
{
    k->part = (uint8_t)part;
    k->number = 0;
    k->n_number = 0;
}

/* True: the number is complete. */
static bool take_number(struct kserve_grpc *k, unsigned char byte)
{
    bool is_last = byte < 0x80;

    k->number |= (uint64_t)(byte & 0x7f) << 7 * k->n_number;
    k->n_number++;
    /* The tenth byte has the last of 64 bits, and a last byte of none made it longer than need be:
     * readers differ in what they take. */
    if ((k->n_number == NUMBER_BYTES_MAX && byte > 1) || (is_last && byte == 0 && k->n_number > 1))
        fail(k, KSERVE_GRPC_BAD_FIELD);
    return is_last;
}

static void take_prefix(struct kserve_grpc *k, unsigned char byte)
{
    if (k->n_number == 0 && byte != 0)
        fail(k, byte == 1 ? KSERVE_GRPC_COMPRESSED : KSERVE_GRPC_BAD_PREFIX);
    k->number = k->number << 8 | byte;
    if (++k->n_number < PREFIX_BYTES)
        return;
    if (k->number > LIMIT_AI_BODY_BYTES)
        fail(k, KSERVE_GRPC_TOO_LARGE);
    k->has_message = true;
    k->n_left = (uint32_t)k->number;
    expect(k, PART_KEY);
}

static void begin_value(struct kserve_grpc *k, uint64_t n)
{
    if (n > k->n_left) {
        fail(k, KSERVE_GRPC_BAD_FIELD);
        return;
    }
    if (k->is_name && (n == 0 || n > sizeof k->model)) {
        fail(k, KSERVE_GRPC_BAD_MODEL);
        return;
    }
    k->n_field = (uint32_t)n;
    expect(k, n == 0 ? PART_KEY : k->is_name ? PART_NAME : PART_SKIP);
}

static void take_key(struct kserve_grpc *k)
{
    uint64_t key = k->number, field = key >> KEY_TYPE_BITS;
    unsigned type = key & ((1U << KEY_TYPE_BITS) - 1);

    if (key > UINT32_MAX || field == 0) {
        fail(k, KSERVE_GRPC_BAD_FIELD);
        return;
    }
    k->is_name = field == FIELD_MODEL;
    if (k->is_name && type != WIRE_LENGTH)
        fail(k, KSERVE_GRPC_BAD_TYPE);
    if (k->is_name && k->has_name)
        fail(k, KSERVE_GRPC_DUPLICATE);
    k->has_name |= k->is_name;
    if (type == WIRE_VARINT)
        expect(k, PART_VALUE);
    else if (type == WIRE_LENGTH)
        expect(k, PART_LENGTH);
    else if (type == WIRE_FIXED64)
        begin_value(k, sizeof(uint64_t));
    else if (type == WIRE_FIXED32)
        begin_value(k, sizeof(uint32_t));
    else
        fail(k, KSERVE_GRPC_BAD_FIELD);
}

static void take_byte(struct kserve_grpc *k, unsigned char byte)
{
    if (k->part == PART_PREFIX) {
        take_prefix(k, byte);
        return;
    }
    k->n_left--;
    if (!take_number(k, byte))
        return;
    if (k->part == PART_KEY)
        take_key(k);
    else if (k->part == PART_LENGTH)
        begin_value(k, k->number);
    else
        expect(k, PART_KEY);
}

/* Of a value that is kept or skipped, as much as the span has; how much that is. */
static size_t take_value(struct kserve_grpc *k, struct str span)
{
    size_t n = MIN(span.len, (size_t)k->n_field);

    if (k->part == PART_NAME) {
        memcpy(k->model + k->n_model, span.ptr, n);
        k->n_model += (uint32_t)n;
    }
    k->n_left -= (uint32_t)n;
    k->n_field -= (uint32_t)n;
    if (k->n_field > 0)
        return n;
    if (k->part == PART_NAME) {
        k->has_model = kserve_is_name(str_make(k->model, k->n_model));
        if (!k->has_model)
            fail(k, KSERVE_GRPC_BAD_MODEL);
    }
    expect(k, PART_KEY);
    return n;
}

void kserve_grpc_init(struct kserve_grpc *k)
{
    memset(k, 0, offsetof(struct kserve_grpc, model));
}

int kserve_grpc_feed(struct kserve_grpc *k, struct str span)
{
    size_t at = 0;

    while (at < span.len && k->condition == 0) {
        if (k->has_message && k->n_left == 0)
            fail(k, KSERVE_GRPC_SECOND_MESSAGE);
        else if (k->part == PART_NAME || k->part == PART_SKIP)
            at += take_value(k, str_slice(span, at, span.len));
        else
            take_byte(k, (unsigned char)span.ptr[at++]);
    }
    return k->condition;
}

int kserve_grpc_end(struct kserve_grpc *k)
{
    if (!k->has_message || k->n_left > 0)
        fail(k, KSERVE_GRPC_TRUNCATED);
    if (k->part != PART_KEY || k->n_number > 0)
        fail(k, KSERVE_GRPC_BAD_FIELD);
    if (!k->has_model)
        fail(k, KSERVE_GRPC_NO_MODEL);
    return k->condition;
}

struct str kserve_grpc_model(const struct kserve_grpc *k)
{
    return k->has_model ? str_make(k->model, k->n_model) : STR("");
}

const char *kserve_grpc_sentence(int condition)
{
    static const char *const sentences[] = {[KSERVE_GRPC_NONE_] = "",
#define X(name, sentence) [KSERVE_GRPC_##name] = (sentence),
                                            KSERVE_GRPC_CONDITIONS(X)
#undef X
    };

    return sentences[condition];
}
