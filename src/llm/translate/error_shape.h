/* Errors in the shape of the client's API, so that its library raises the class that its author
 * expects. OpenAI: {"error":{"message","type","param","code"}}; Anthropic:
 * {"type":"error","error":{"type","message"}}. The type follows the status by one table, which both
 * APIs share. Pure; any thread. */
#pragma once

#include "base/buf.h"
#include "llm/ai_endpoint.h"

struct error_shape {
    unsigned status; /* of the answer; 0 inside an event stream, where `type` alone counts */
    struct str type; /* empty: by status */
    struct str message;
    struct str param; /* OpenAI only; empty: null */
    struct str code;  /* OpenAI only; empty: by status, or null */
};

/* The type that both APIs give to a status. Never empty. */
struct str error_shape_type(unsigned status);
/* As a JSON document. Any dialect but Anthropic gets OpenAI's shape. */
void error_shape_write(const struct error_shape *e, enum ai_dialect dialect, struct buf *out);
/* As the frame that each API sends when an event stream fails. */
void error_shape_write_frame(const struct error_shape *e, enum ai_dialect dialect, struct buf *out);
/* What an upstream's error document says, whichever of the two shapes it has; what is no such
 * document is quoted when it is short text, and named by its status otherwise. The type becomes one
 * that `error_shape_type` gives. `*room` holds what the result borrows. */
void error_shape_read(unsigned status, struct str body, struct buf *room, struct error_shape *ret);
