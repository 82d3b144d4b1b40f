/* Calls of KServe's gRPC service: which have a model, and reading it in their message. */
#include "llm/kserve_grpc.h"

#include "base/buf.h"
#include "test/harness/test.h"

#define KEY(field, type) ((char)((field) << 3 | (type)))

TEST(methods_are_told_by_what_they_say_of_a_model)
{
    static const struct {
        const char *path;
        enum kserve_rpc rpc;
    } rows[] = {
        {"/inference.GRPCInferenceService/ModelInfer", KSERVE_RPC_NAMED},
        {"/inference.GRPCInferenceService/ModelReady", KSERVE_RPC_NAMED},
        {"/inference.GRPCInferenceService/ModelMetadata", KSERVE_RPC_NAMED},
        {"/inference.GRPCInferenceService/ModelConfig", KSERVE_RPC_NAMED},
        {"/inference.GRPCInferenceService/ModelStatistics", KSERVE_RPC_NAMED},
        {"/inference.GRPCInferenceService/ServerLive", KSERVE_RPC_BARE},
        {"/inference.GRPCInferenceService/ServerReady", KSERVE_RPC_BARE},
        {"/inference.GRPCInferenceService/ServerMetadata", KSERVE_RPC_BARE},
        {"/inference.GRPCInferenceService/RepositoryIndex", KSERVE_RPC_BARE},
        {"/inference.GRPCInferenceService/ModelStreamInfer", KSERVE_RPC_UNREAD},
        {"/inference.GRPCInferenceService/RepositoryModelLoad", KSERVE_RPC_UNREAD},
        {"/inference.GRPCInferenceService/RepositoryModelUnload", KSERVE_RPC_UNREAD},
        {"/inference.GRPCInferenceService/modelinfer", KSERVE_RPC_UNREAD},
        {"/inference.GRPCInferenceService/ModelInfer/", KSERVE_RPC_UNREAD},
        {"/inference.GRPCInferenceService/ServerLive/x", KSERVE_RPC_UNREAD},
        {"/inference.GRPCInferenceService/", KSERVE_RPC_UNREAD},
        {"/inference.GRPCInferenceService", KSERVE_RPC_NONE},
        {"/inference.GRPCInferenceServices/ModelInfer", KSERVE_RPC_NONE},
        {"/x/inference.GRPCInferenceService/ModelInfer", KSERVE_RPC_NONE},
        {"/v2/models/m/infer", KSERVE_RPC_NONE},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_MSG(kserve_grpc_find(str_of(rows[i].path)) == rows[i].rpc, "%s", rows[i].path);
}

/* ---- messages ---- */

static void put_prefix(struct buf *out, unsigned char flag, size_t n)
{
    char prefix[] = {(char)flag, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};

    buf_append(out, prefix, sizeof prefix);
}

/* The content cut into pieces of `step` bytes. */
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

/* The same however it is cut. */
static int read_content(struct kserve_grpc *k, struct str content)
{
    static const size_t steps[] = {1, 2, 3, 7, 64};
    int whole = read_in_steps(k, content, content.len + 1);
    struct kserve_grpc other;

    for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
        CHECK_INT(read_in_steps(&other, content, steps[i]), whole);
        CHECK(str_eq(kserve_grpc_model(&other), kserve_grpc_model(k)));
    }
    return whole;
}

/* One message of these bytes. */
static int read_message(struct kserve_grpc *k, struct str message)
{
    struct buf content = {0};
    int code;

    put_prefix(&content, 0, message.len);
    buf_append_str(&content, message);
    code = read_content(k, buf_str(&content));
    buf_deinit(&content);
    return code;
}

TEST(the_name_is_read_wherever_it_stands)
{
    static const struct str messages[] = {
        STR("\x0a\x04iris"),
        STR("\x0a\x04iris\x12\x01"
            "7\x1a\x02id"),
        /* behind version, fixed and variable numbers, tensors with a name inside, and an empty one
         */
        STR("\x12\x01"
            "7\x38\x96\x01\x39"
            "12345678\x3d"
            "1234\x2a\x06\x0a\x04rose\x3a\x00\x0a\x04iris"),
        /* a negative number, field 536870911, which has the longest key */
        STR("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xfa\xff\xff\xff\x0f\x01x\x0a\x04iris"),
    };

    for (size_t i = 0; i < N_ELEMENTS(messages); i++) {
        struct kserve_grpc k;

        CHECK_INT(read_message(&k, messages[i]), 0);
        CHECK_STR(kserve_grpc_model(&k), "iris");
    }
}

TEST(a_message_that_could_be_read_in_two_ways_is_refused)
{
    static const struct {
        const char *what;
        struct str message;
        int condition;
    } rows[] = {
        {"nothing", STR(""), KSERVE_GRPC_NO_MODEL},
        {"no name",
         STR("\x12\x01"
             "7"),
         KSERVE_GRPC_NO_MODEL},
        {"an empty name", STR("\x0a\x00"), KSERVE_GRPC_BAD_MODEL},
        {"another name behind",
         STR("\x0a\x04iris\x12\x01"
             "7\x0a\x04rose"),
         KSERVE_GRPC_DUPLICATE},
        {"the same name twice", STR("\x0a\x04iris\x0a\x04iris"), KSERVE_GRPC_DUPLICATE},
        {"an empty name behind", STR("\x0a\x04iris\x0a\x00"), KSERVE_GRPC_DUPLICATE},
        {"a number for a name", STR("\x08\x01"), KSERVE_GRPC_BAD_TYPE},
        {"a number behind the name", STR("\x0a\x04iris\x08\x01"), KSERVE_GRPC_BAD_TYPE},
        {"a fixed number for a name",
         STR("\x0d"
             "1234"),
         KSERVE_GRPC_BAD_TYPE},
        {"a group for a name", STR("\x0b\x0c"), KSERVE_GRPC_BAD_TYPE},
        {"a group", STR("\x0a\x04iris\x13\x0a\x04rose\x14"), KSERVE_GRPC_BAD_FIELD},
        {"the end of a group", STR("\x0a\x04iris\x14"), KSERVE_GRPC_BAD_FIELD},
        {"type 6", STR("\x0a\x04iris\x16\x00"), KSERVE_GRPC_BAD_FIELD},
        {"type 7", STR("\x0a\x04iris\x17\x00"), KSERVE_GRPC_BAD_FIELD},
        {"field 0", STR("\x02\x04iris"), KSERVE_GRPC_BAD_FIELD},
        {"a long key", STR("\x8a\x00\x04iris"), KSERVE_GRPC_BAD_FIELD},
        {"a key beyond 32 bits", STR("\x8a\x80\x80\x80\x10\x04rose"), KSERVE_GRPC_BAD_FIELD},
        {"a long length", STR("\x0a\x84\x00iris"), KSERVE_GRPC_BAD_FIELD},
        {"a long number", STR("\x0a\x04iris\x20\x81\x00"), KSERVE_GRPC_BAD_FIELD},
        {"a number of eleven bytes",
         STR("\x0a\x04iris\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
         KSERVE_GRPC_BAD_FIELD},
        {"a number of 65 bits", STR("\x0a\x04iris\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03"),
         KSERVE_GRPC_BAD_FIELD},
        {"a key cut off", STR("\x0a\x04iris\x8a"), KSERVE_GRPC_BAD_FIELD},
        {"a number cut off", STR("\x0a\x04iris\x20\x81"), KSERVE_GRPC_BAD_FIELD},
        {"a length cut off", STR("\x0a\x04iris\x12"), KSERVE_GRPC_BAD_FIELD},
        {"a name beyond the message", STR("\x0a\x05iris"), KSERVE_GRPC_BAD_FIELD},
        {"a value beyond the message", STR("\x0a\x04iris\x12\x02x"), KSERVE_GRPC_BAD_FIELD},
        {"a length of 64 bits", STR("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0a\x04iris"),
         KSERVE_GRPC_BAD_FIELD},
        {"a fixed number beyond the message",
         STR("\x0a\x04iris\x21"
             "1234567"),
         KSERVE_GRPC_BAD_FIELD},
        {"no UTF-8", STR("\x0a\x02\xc3("), KSERVE_GRPC_BAD_MODEL},
        {"beyond ASCII", STR("\x0a\x02\xc3\xa9"), KSERVE_GRPC_BAD_MODEL},
        {"a space",
         STR("\x0a\x03"
             "a b"),
         KSERVE_GRPC_BAD_MODEL},
        {"a line end",
         STR("\x0a\x03"
             "a\nb"),
         KSERVE_GRPC_BAD_MODEL},
        {"a NUL", STR("\x0a\x05iris\0"), KSERVE_GRPC_BAD_MODEL},
        {"a slash",
         STR("\x0a\x03"
             "a/b"),
         KSERVE_GRPC_BAD_MODEL},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct kserve_grpc k;
        int code = read_message(&k, rows[i].message);

        CHECK_MSG(code == rows[i].condition, "%s: %d (%s)", rows[i].what, code,
                  kserve_grpc_sentence(code));
        CHECK(kserve_grpc_sentence(code)[0] != '\0');
    }
}

TEST(names_have_their_bound)
{
    for (size_t n = LIMIT_MODEL_NAME_BYTES; n <= LIMIT_MODEL_NAME_BYTES + 1; n++) {
        struct buf message = {0};
        struct kserve_grpc k;

        buf_append_char(&message, KEY(1, 2));
        buf_append_char(&message, (char)(0x80 | (n & 0x7f)));
        buf_append_char(&message, (char)(n >> 7));
        for (size_t i = 0; i < n; i++)
            buf_append_char(&message, 'm');
        CHECK_INT(read_message(&k, buf_str(&message)),
                  n > LIMIT_MODEL_NAME_BYTES ? KSERVE_GRPC_BAD_MODEL : 0);
        CHECK_INT(kserve_grpc_model(&k).len, n > LIMIT_MODEL_NAME_BYTES ? 0 : n);
        buf_deinit(&message);
    }
}

TEST(a_call_is_one_message_behind_its_prefix)
{
    static const struct {
        const char *what;
        struct str content;
        int condition;
    } rows[] = {
        {"one", STR("\0\0\0\0\6\x0a\4iris"), 0},
        {"nothing", STR(""), KSERVE_GRPC_TRUNCATED},
        {"half a prefix", STR("\0\0\0"), KSERVE_GRPC_TRUNCATED},
        {"half a message", STR("\0\0\0\0\6\x0a\4ir"), KSERVE_GRPC_TRUNCATED},
        {"a prefix alone", STR("\0\0\0\0\6"), KSERVE_GRPC_TRUNCATED},
        {"compressed", STR("\1\0\0\0\6\x0a\4iris"), KSERVE_GRPC_COMPRESSED},
        {"another flag", STR("\2\0\0\0\6\x0a\4iris"), KSERVE_GRPC_BAD_PREFIX},
        {"trailers of gRPC-Web", STR("\x80\0\0\0\6\x0a\4iris"), KSERVE_GRPC_BAD_PREFIX},
        {"a second message", STR("\0\0\0\0\6\x0a\4iris\0\0\0\0\6\x0a\4rose"),
         KSERVE_GRPC_SECOND_MESSAGE},
        {"a second prefix begun", STR("\0\0\0\0\6\x0a\4iris\0"), KSERVE_GRPC_SECOND_MESSAGE},
        {"a message behind an empty one", STR("\0\0\0\0\0\0\0\0\0\6\x0a\4rose"),
         KSERVE_GRPC_SECOND_MESSAGE},
        {"more than is ever read", STR("\0\xff\xff\xff\xff\x0a\4iris"), KSERVE_GRPC_TOO_LARGE},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct kserve_grpc k;
        int code = read_content(&k, rows[i].content);

        CHECK_MSG(code == rows[i].condition, "%s: %d", rows[i].what, code);
    }
}

TEST(what_was_refused_stays_refused)
{
    struct kserve_grpc k;

    kserve_grpc_init(&k);
    CHECK_INT(kserve_grpc_feed(&k, STR("\0\0\0\0\x0c\x0a\4iris\x0a\4rose")), KSERVE_GRPC_DUPLICATE);
    CHECK_INT(kserve_grpc_feed(&k, STR("\0")), KSERVE_GRPC_DUPLICATE);
    CHECK_INT(kserve_grpc_end(&k), KSERVE_GRPC_DUPLICATE);
}
