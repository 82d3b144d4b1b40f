/* What of a manifest is never shown, because it is a credential or may be one. When in doubt a
 * value is not shown: the file has it. Pure. */
#pragma once

#include "base/str.h"

#define OBJECT_REDACTED STR("(redacted)")

/* By what it looks like: a token, a private or symmetric key, a hash of a password, an address with
 * a password or a credential in its query. */
bool object_text_is_secret(struct str text);
/* A key whose text is a credential, by its name. */
bool object_key_is_secret(struct str key);
/* A header or parameter whose value may be one: any that has such a word in its name. */
bool object_header_is_secret(struct str name);
/* A pattern that takes any credential of a scheme, and tells none: "Bearer .*". */
bool object_text_is_open_pattern(struct str text);
/* An annotation that holds another manifest, whatever that has. */
bool object_annotation_is_secret(struct str name);
