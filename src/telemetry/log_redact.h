/* Keeping credentials out of logs. */
#pragma once

#include "base/str.h"

/* A header whose value is a credential: authorization, cookie, x-api-key and their like. */
bool log_redact_is_secret_name(struct str lower_name);
/* The same of a parameter: of shorter words too, as key and sig. */
bool log_redact_is_secret_parameter(struct str name);
/* Of a variable of the environment. */
bool log_redact_is_secret_variable(struct str name);
/* Does the text hold what looks like a JSON Web Token? */
bool log_redact_has_token(struct str text);
/* A target that may hold credentials, in its query or as a token in its path: they are replaced by
 * "redacted". Returns `target` itself when there are none, else text in `room`, cut to `cap`. */
struct str log_redact_target(struct str target, char *room, size_t cap);
