/* The messages of Envoy's protocol for external authorization by gRPC, version 3: what is asked of
 * a request (CheckRequest), and what the answer says (CheckResponse). Bytes in, values out; pure.
 * The call around them is ext_auth.c. */
#pragma once

#include "base/buf.h"
#include "base/vec.h"
#include "http/message.h"

/* Who asks what, when; borrowed. */
struct check_subject {
    const struct http_request *request;
    struct str source_ip;   /* the client as detected */
    struct str destination; /* our address, "192.0.2.9:443" */
    uint16_t source_port;   /* 0: unknown */
    struct str principal;   /* of the client's verified certificate; empty: none */
    int64_t wall_us;
};

/* A value that a policy adds (contextExtensions). */
struct check_context {
    struct str name;
    struct str value;
};

/* What the authorizer is told. */
struct check_scope {
    const struct str *headers; /* names, lower-case; none: all headers */
    uint32_t n_headers;
    const struct check_context *contexts;
    uint32_t n_contexts;
};

enum check_action {
    CHECK_SET, /* in the place of all of that name */
    CHECK_ADD,
    CHECK_ADD_IF_ABSENT,
    CHECK_SET_IF_PRESENT,
};
struct check_edit {
    enum check_action action;
    struct str name; /* lower-case, no header that frames a message, no host */
    struct str value;
};

struct check_answer {
    bool is_allowed;
    uint16_t status;                      /* of a no */
    struct str body;                      /* of a no */
    VEC(struct check_edit) request_edits; /* of a yes */
    VEC(struct str) request_removals;     /* of a yes */
    VEC(struct check_edit) answer_edits;  /* headers of a no; of a yes those that the client gets */
};

/* Appends the CheckRequest as a message of gRPC, its length in front. Text that is not UTF-8, which
 * the protocol cannot carry, has '!' in the place of each byte that is none. */
void check_format(const struct check_subject *subject, const struct check_scope *scope,
                  struct buf *out);

/* Conditions of check_parse. */
enum check_code {
    CHECK_MALFORMED = 1,   /* not one whole message, or not a CheckResponse: it says nothing */
    CHECK_UNSUPPORTED = 2, /* a yes on terms that are not met here; *ret_why says which */
};

/* The content of an answer of gRPC. 0 or an enum check_code. What is kept stands in `a`. Headers of
 * a no that cannot be written are left out: it stays a no. */
MUST_USE int check_parse(struct str content, struct arena *a, struct check_answer *ret,
                         const char **ret_why);

/* Carries an edit out. */
void check_edit_apply(const struct check_edit *e, struct http_headers *h);
