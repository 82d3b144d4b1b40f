/* One HTTP request and its whole answer, over plain TCP or TLS; for the launcher, the authorizer
 * and tests. Blocking, one connection per request. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FETCH_ANSWER_MAX (1024u * 1024u)

struct fetch_request {
    const char *host; /* name or address; also the Host header */
    int port;
    const char *ca_file; /* TLS, trusting this file, unless NULL */
    const char *method;  /* GET unless given */
    const char *path;
    const char *const *headers; /* "name: value", the last one NULL; may be NULL */
    const char *body;           /* may be NULL */
    int timeout_ms;
};

struct fetch_answer {
    int status;
    char *head; /* lines after the status line, each with CRLF */
    char *body;
    size_t body_len;
    char error[160]; /* why it failed */
};

/* 0, or -1 with `error` set. Free it either way. */
int fetch(const struct fetch_request *request, struct fetch_answer *ret_answer);
void fetch_answer_free(struct fetch_answer *answer);
