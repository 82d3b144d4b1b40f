/* The live page: files of src/admin/page, embedded by the build. They stand by themselves: nothing
 * is fetched from elsewhere, and all that they show comes by /live. */
#pragma once

#include "base/str.h"

struct page_file {
    const char *path; /* where it is served */
    const char *type;
    const unsigned char *bytes;
    size_t n;
};

/* Terminated by a row whose path is NULL. */
extern const struct page_file page_files[];
