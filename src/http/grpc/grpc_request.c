/* Calls of gRPC: by method and content type, whatever version of HTTP brought them. The deadline is
 * read strictly: what one reader takes for a time and another for none must not pass.
 *
 * Owner: nobody; no state. Thread: any. */
#include "http/grpc/grpc_request.h"

enum { TIMEOUT_DIGITS_MAX = 8 };

bool grpc_content_type_is(struct str content_type)
{
    static const struct str prefix = {"application/grpc", sizeof "application/grpc" - 1};
    const size_t first = sizeof "application/" - 1; /* of what tells it from JSON, as most are */
    char next = content_type.len > prefix.len ? content_type.ptr[prefix.len] : '\0';

    if (content_type.len < prefix.len || (content_type.ptr[first] | 0x20) != 'g' ||
        !str_starts_with_nocase(content_type, prefix))
        return false;
    return content_type.len == prefix.len || next == '+' || next == ';' || next == ' ';
}

bool grpc_content_type_is_proto(struct str content_type)
{
    static const struct str format = {"application/grpc+proto",
                                      sizeof "application/grpc+proto" - 1};
    char next = content_type.len > format.len ? content_type.ptr[format.len] : '\0';

    if (!grpc_content_type_is(content_type))
        return false;
    if (!str_starts_with_nocase(content_type, STR("application/grpc+")))
        return true;
    return str_starts_with_nocase(content_type, format) &&
           (content_type.len == format.len || next == ';' || next == ' ');
}

bool grpc_request_is(const struct http_request *request)
{
    const struct http_header *type = http_headers_find_id(&request->headers, HEADER_CONTENT_TYPE);

    return request->method == HTTP_METHOD_POST && type && grpc_content_type_is(type->value);
}

/* Nanoseconds; 0: no unit. */
static uint64_t timeout_unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600) * 1000000000;
    case 'M':
        return UINT64_C(60) * 1000000000;
    case 'S':
        return 1000000000;
    case 'm':
        return 1000000;
    case 'u':
        return 1000;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

int grpc_timeout_parse(struct str value, uint64_t *ret_us)
{
    uint64_t unit_ns, number;

    if (value.len < 2 || value.len > TIMEOUT_DIGITS_MAX + 1)
        return GRPC_TIMEOUT_MALFORMED;
    unit_ns = timeout_unit_ns(value.ptr[value.len - 1]);
    if (unit_ns == 0 || !str_to_u64(str_slice(value, 0, value.len - 1), &number))
        return GRPC_TIMEOUT_MALFORMED;
    /* Eight digits of hours are 3.6e17 microseconds. */
    *ret_us = unit_ns >= 1000 ? number * (unit_ns / 1000) : (number + 999) / 1000;
    return 0;
}
