/* Answers in the place of others, before anything of those was sent. They are whole answers: of the
 * one that is replaced only its status stays where the policy names none, and what belongs to that
 * status (Retry-After, WWW-Authenticate). */
#pragma once

#include "gateway/exchange.h"

/* The answer made here, x->response, is replaced if the rule says so. */
void override_local(struct exchange *x);
/* Is the backend's, x->attempt.response? Then the one to be sent is x->response, and is local. */
bool override_backend(struct exchange *x);
