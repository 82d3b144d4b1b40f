/* Which codings of an answer its client takes, and how gladly (RFC 9110 12.5.3). Pure. */
#pragma once

#include "http/encode/encoder.h"
#include "http/message.h"

/* In thousandths; 0: not taken. Who sends no Accept-Encoding takes none here: nobody asked. */
struct accept_encoding {
    uint16_t weights[ENCODER_CODINGS];
    uint16_t identity; /* of an answer as it is, where the client has named that; else 0 */
};

/* Of all its lines. A member that is malformed is a no to the coding that it begins with, and of
 * two that name one coding the lesser counts: an answer as it is can be read by everybody. */
struct accept_encoding accept_encoding_parse(const struct http_headers *request);
/* Would it rather have this coding than an answer as it is? */
static inline bool accept_encoding_takes(const struct accept_encoding *a,
                                         enum encoder_coding coding)
{
    return a->weights[coding] > 0 && a->weights[coding] >= a->identity;
}
