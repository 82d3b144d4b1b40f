/* Errors in the shape of the client's API, so that its library raises the class that its author
 * expects. OpenAI: {"error":{"message","type","param","code"}}; Anthropic:
 * {"type":"error","error":{"type","message"}}. Their type follows the status by one table. KServe
 * V1 and V2: {"error":message}, with the code, where there is one, as a second member: clients of
 * KServe and Triton show the string, and look at no other. Pure; any thread. */
#pragma once

#include "base/buf.h"
#include "llm/ai_endpoint.h"

struct error_shape {
    unsigned status; /* of the answer; 0 inside an event stream, where `type` alone counts */
    struct str type; /* empty: by status */
    struct str message;
    struct str param; /* OpenAI only; empty: null */
    struct str code;  /* OpenAI, where empty is by status, or null; KServe, where empty is none */
};

/* The type that both APIs give to a status. Never empty. */
struct str error_shape_type(unsigned status);
/* As a JSON document. A dialect that is neither Anthropic's nor KServe's gets OpenAI's shape, which
 * most clients of models read. */
void error_shape_write(const struct error_shape *e, enum ai_dialect dialect, struct buf *out);
/* As the frame that each API sends when an event stream fails. */
void error_shape_write_frame(const struct error_shape *e, enum ai_dialect dialect, struct buf *out);
/* What an upstream's error document says, whichever of the two shapes it has; what is no such
 * document is quoted when it is short text, and named by its status otherwise. The type becomes one
 * that `error_shape_type` gives. `*room` holds what the result borrows. */
void error_shape_read(unsigned status, struct str body, struct buf *room, struct error_shape *ret);
