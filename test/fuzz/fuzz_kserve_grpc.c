/* Fuzz target of the messages in which calls of KServe's gRPC service name their model. The first
 * byte says where the rest is: in a call's content as it comes ('c'), or in one message, whose
 * prefix is made here ('m'). Beyond not crashing: the verdict and the name are the same however the
 * content is cut, a name is one that a header can carry, and what is taken names the same model to
 * a reader that is as lenient as they come: of which the last of several names counts, and which
 * heeds neither its type nor how long a number is. */
#include "base/assert.h"
#include "base/buf.h"
#include "llm/kserve.h"
#include "llm/kserve_grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { CONTENT_BYTES_MAX = 1 << 16, PREFIX_BYTES = 5 };

static int read_in_steps(struct kserve_grpc *k, struct str content, size_t step)
{
    kserve_grpc_init(k);
    for (size_t at = 0; at < content.len; at += step) {
        int code = kserve_grpc_feed(k, str_slice(content, at, MIN(at + step, content.len)));

        if (code != 0)
            return code;
    }
    return kserve_grpc_end(k);
}

/* ---- the lenient reader ---- */

static uint64_t take_number(struct str *rest)
{
    uint64_t number = 0;

    for (unsigned shift = 0; rest->len > 0; shift += 7) {
        unsigned char byte = (unsigned char)rest->ptr[0];

        *rest = str_slice(*rest, 1, rest->len);
        if (shift < 64)
            number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return number;
}

static struct str take_bytes(struct str *rest, uint64_t n)
{
    struct str taken = str_slice(*rest, 0, (size_t)MIN(n, (uint64_t)rest->len));

    *rest = str_slice(*rest, taken.len, rest->len);
    return taken;
}

static struct str read_leniently(struct str message)
{
    struct str name = STR("");

    while (message.len > 0) {
        uint64_t key = take_number(&message);
        struct str value = STR("");

        switch (key & 7) {
        case 0:
            take_number(&message);
            break;
        case 1:
            value = take_bytes(&message, 8);
            break;
        case 2:
            value = take_bytes(&message, take_number(&message));
            break;
        case 5:
            value = take_bytes(&message, 4);
            break;
        default: /* the bounds of a group: its fields are read as the message's own */
            break;
        }
        if ((uint32_t)key >> 3 == 1)
            name = value;
    }
    return name;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct kserve_grpc whole, cut;
    struct buf content = {0};
    size_t n = size - 1;
    int code;

    if (size == 0 || size > CONTENT_BYTES_MAX)
        return 0;
    if (bytes[0] == 'm') {
        const char prefix[PREFIX_BYTES] = {0, 0, (char)(n >> 16), (char)(n >> 8), (char)n};

        buf_append(&content, prefix, sizeof prefix);
    }
    buf_append(&content, bytes + 1, n);
    code = read_in_steps(&whole, buf_str(&content), content.len + 1);
    for (size_t step = 1; step <= 3; step++) {
        ASSERT(read_in_steps(&cut, buf_str(&content), step) == code);
        ASSERT(str_eq(kserve_grpc_model(&cut), kserve_grpc_model(&whole)));
    }
    ASSERT(kserve_grpc_model(&whole).len == 0 || kserve_is_name(kserve_grpc_model(&whole)));
    if (code == 0)
        ASSERT(str_eq(read_leniently(str_slice(buf_str(&content), PREFIX_BYTES, content.len)),
                      kserve_grpc_model(&whole)) &&
               kserve_grpc_model(&whole).len > 0);
    else
        ASSERT(kserve_grpc_sentence(code)[0] != '\0');
    buf_deinit(&content);
    return 0;
}
