/* Headers, paths and query parameters as access logs show them: found by name, credentials taken
 * out. */
#pragma once

#include "telemetry/access_log.h"

/* Where a header operator reads: most are a field of the record, found once at compilation. */
struct log_header {
    struct str name; /* lower-case; empty: none */
    size_t field;    /* of the record, plus 1; 0: by look-up */
    bool is_secret;  /* its value never reaches a log */
    bool is_url;     /* neither do credentials in its query, or its fragment */
};

enum { LOG_SCRATCH_BYTES = 2048 };

/* `name` in lower case, living as long as the format. */
struct log_header log_header_of(struct str name);
/* Is it, in a request, a field of the record and no more: neither a target nor a secret? */
bool log_header_is_field(const struct log_header *h);
/* Credentials come out as "redacted", what is not there as STR_NULL. `scratch` holds what had to be
 * made. */
struct str log_request_header(const struct log_header *h, const struct access_record *r,
                              char scratch[LOG_SCRATCH_BYTES]);
struct str log_response_header(const struct log_header *h, const struct access_record *r,
                               bool is_trailer, char scratch[LOG_SCRATCH_BYTES]);
/* The value of a parameter of the query as received, as it is written there. */
struct str log_query_parameter(struct str name, const struct access_record *r);
/* What the gateway knows although no header says it (the request may have been refused before the
 * headers were written), by the header's name. */
struct str log_known_header(struct str name, const struct access_record *r);
/* "redacted" where the text holds what looks like a token. */
struct str log_clean_text(struct str text);
