/* Heads around form data: the parameters of Content-Type and of a part's Content-Disposition.
 * Inside of multipart*.c. Pure. */
#pragma once

#include "llm/multipart.h"

/* Does a Content-Type of any media type name no charset, or UTF-8? */
bool multipart_head_is_utf8(struct str content_type);
/* The boundary of multipart/form-data, borrowing. 0, MULTIPART_NOT_FORM_DATA or
 * MULTIPART_BAD_BOUNDARY. */
MUST_USE int multipart_head_boundary(struct str content_type, struct str *ret_boundary);
/* Which field a part is, by its whole head (lines with CRLF, without the empty one). 0 or
 * MULTIPART_BAD_PART. */
MUST_USE int multipart_head_field(struct str head, enum multipart_field *ret_field);
