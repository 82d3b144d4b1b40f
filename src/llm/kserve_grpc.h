/* The model in calls of KServe's gRPC service (Open Inference Protocol, grpc_predict_v2.proto, with
 * the extensions of model servers): a table says of which methods it can be known, and a reader
 * walks the top-level fields of their one message as it comes.
 *
 * The gateway decides by the name that it reads, and the server reads the message again with a
 * parser of its own, for which the last of several fields counts. So the whole message is walked,
 * and what two parsers may take differently is refused: a second name, fields of other types than
 * the protocol gives them, groups, numbers longer than they need be, a second message. */
#pragma once

#include "base/limits.h"
#include "base/str.h"

#define KSERVE_GRPC_SERVICE "inference.GRPCInferenceService"

enum kserve_rpc {
    KSERVE_RPC_NONE,   /* no call of the service */
    KSERVE_RPC_BARE,   /* asks for no model */
    KSERVE_RPC_NAMED,  /* one message, with the model in its field 1 */
    KSERVE_RPC_UNREAD, /* may name one, where and how often is not known */
};

/* Which kind of call a path is, whatever its content. */
enum kserve_rpc kserve_grpc_find(struct str path);
/* The same of a method's name, such as "ModelInfer". */
enum kserve_rpc kserve_grpc_find_method(struct str method);

/* X(name, sentence): conditions. */
#define KSERVE_GRPC_CONDITIONS(X)                                                                  \
    X(COMPRESSED, "The message of a call to a model must not be compressed.")                      \
    X(TOO_LARGE, "The message of the call is too large.")                                          \
    X(BAD_PREFIX, "The message of the call has a malformed prefix.")                               \
    X(BAD_FIELD, "The message of the call has a malformed field.")                                 \
    X(BAD_TYPE, "The model's name has the type of another field.")                                 \
    X(DUPLICATE, "The model's name is given twice.")                                               \
    X(BAD_MODEL, "The model's name is empty, too long, or no name of a model.")                    \
    X(NO_MODEL, "The model's name is missing.")                                                    \
    X(TRUNCATED, "The call ends before its message does.")                                         \
    X(SECOND_MESSAGE, "The call has more than its one message.")

enum kserve_grpc_condition {
    KSERVE_GRPC_NONE_,
#define X(name, sentence) KSERVE_GRPC_##name,
    KSERVE_GRPC_CONDITIONS(X)
#undef X
};

/* Exchange-local, of a fixed size; allocates nothing. The verdict and the name are the same however
 * the content is cut into pieces. Private but for reading it in a debugger. */
struct kserve_grpc {
    uint8_t part;      /* enum kserve_grpc_part, kserve_grpc.c */
    uint8_t condition; /* once not 0, the reader is over */
    uint8_t n_number;  /* bytes of the number (or the prefix) that passed */
    bool has_message;  /* its prefix has passed */
    bool has_name;     /* the name has begun */
    bool has_model;    /* it is complete, and one of a model */
    bool is_name;      /* the field that passes */
    uint64_t number;
    uint32_t n_left;  /* bytes of the message to come */
    uint32_t n_field; /* bytes of the field's value to come */
    uint32_t n_model;
    char model[LIMIT_MODEL_NAME_BYTES];
};

void kserve_grpc_init(struct kserve_grpc *k);
/* 0 or the condition, also of what came before. */
MUST_USE int kserve_grpc_feed(struct kserve_grpc *k, struct str span);
/* The content is complete. 0 or the condition. */
MUST_USE int kserve_grpc_end(struct kserve_grpc *k);
/* Borrowed from the reader; empty until it is complete. */
struct str kserve_grpc_model(const struct kserve_grpc *k);
/* For the caller, of a condition. */
const char *kserve_grpc_sentence(int condition);
