/* gRPC's status codes as a table, the mapping from HTTP, and the spelling of messages. Which
 * refusal says which status is gateway's (gateway/refusal.h).
 *
 * Owner: nobody; no state. Thread: any. */
#include "http/grpc/grpc_status.h"

static const struct {
    struct str camel;
    struct str snake;
} grpc_status_rows[] = {
#define X(number, camel, snake) [number] = {{camel, sizeof(camel) - 1}, {snake, sizeof(snake) - 1}},
    GRPC_STATUSES(X)
#undef X
};

enum grpc_status grpc_status_of_http(uint16_t status)
{
    switch (status) {
    case 400:
        return GRPC_STATUS_INTERNAL;
    case 401:
        return GRPC_STATUS_UNAUTHENTICATED;
    case 403:
        return GRPC_STATUS_PERMISSION_DENIED;
    case 404:
        return GRPC_STATUS_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_STATUS_UNAVAILABLE;
    default:
        return GRPC_STATUS_UNKNOWN;
    }
}

uint16_t grpc_status_to_http(int status)
{
    static const uint16_t statuses[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                        400, 409, 400, 501, 500, 503, 500, 401};

    return status >= 0 && (size_t)status < N_ELEMENTS(statuses) ? statuses[status] : 500;
}

int grpc_status_parse(struct str value)
{
    uint64_t number;

    if (!str_to_u64(value, &number) || number > INT32_MAX)
        return GRPC_STATUS_UNTOLD;
    return (int)number;
}

struct str grpc_status_camel(int status)
{
    return status >= 0 && (size_t)status < N_ELEMENTS(grpc_status_rows)
               ? grpc_status_rows[status].camel
               : STR("");
}

struct str grpc_status_snake(int status)
{
    return status >= 0 && (size_t)status < N_ELEMENTS(grpc_status_rows)
               ? grpc_status_rows[status].snake
               : STR("");
}

void grpc_message_format(struct buf *out, struct str text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c >= 0x20 && c <= 0x7E && c != '%') {
            buf_append_char(out, (char)c);
            continue;
        }
        buf_append_char(out, '%');
        buf_append_char(out, digits[c >> 4]);
        buf_append_char(out, digits[c & 15]);
    }
}
