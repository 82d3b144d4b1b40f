/* What a condition on a request header or a query parameter compares with. Several header lines of
 * one name count as one value joined with "," (Gateway API HTTPHeaderMatch; RFC 9110 5.3); of
 * several query parameters of one name the first counts (HTTPQueryParamMatch). Nothing here
 * allocates. */
#pragma once

#include "http/message.h"
#include "policy/regex.h"

/* A header name with its id, so that the hot path compares small numbers. */
struct field_name {
    struct str text; /* lower-case */
    enum header_id id;
};

/* Folds `name` to lower case into `arena`. */
struct field_name field_name_make(struct arena *arena, struct str name);
/* The joined value. One line: borrowed from the list. Several: built in `room` (at least
 * LIMIT_HEAD_BYTES; what does not fit makes the value unusable, *ret_is_cut). ptr NULL: absent. */
struct str field_header_value(const struct http_headers *headers, const struct field_name *name,
                              char *room, size_t n_room, bool *ret_is_cut);
/* Equal to the joined value, case-sensitive. Absent is never equal. */
bool field_header_is(const struct http_headers *headers, const struct field_name *name,
                     struct str value);
/* Full match with the joined value; absent: REGEX_MISS. */
enum regex_verdict field_header_matches(const struct http_headers *headers,
                                        const struct field_name *name, const struct regex *regex);
/* First parameter of that name in a raw query (after '?'): percent-decoding and '+' as space are
 * undone on both sides of '='. `room` gets the value; it needs query.len bytes. ptr NULL: absent.
 */
struct str field_query_value(struct str query, struct str name, char *room, size_t n_room);
