/* Answers made by the gateway itself: refusals, CORS preflights, redirects, direct responses. They
 * fill x->response and x->local_body; the step `respond` sends them. */
#pragma once

#include "gateway/exchange.h"

/* From x->refusal. */
void answer_refusal(struct exchange *x);
/* The sentence that the client is told, in whatever shape: who tells a refusal elsewhere (the live
 * page, an explanation) has its words from here. */
struct str answer_refusal_text(const struct exchange *x);
/* Retry-After of that answer; 0: it has none. */
uint32_t answer_retry_after_s(const struct exchange *x);
/* The answer made here as a call of gRPC is told it: a head that is trailers too (gRPC over HTTP/2,
 * "Trailers-Only"). */
void answer_as_grpc(struct exchange *x);
/* The trailers of an answer of gRPC that breaks off, from x->refusal. */
void answer_grpc_trailers(struct exchange *x);
enum step_result answer_preflight(struct exchange *x, const struct cors *cors);
enum step_result answer_redirect(struct exchange *x, const struct redirect *redirect);
enum step_result answer_text(struct exchange *x, uint16_t status, struct str type, struct str body);
enum step_result answer_direct(struct exchange *x, const struct direct_plan *direct,
                               uint16_t status);
