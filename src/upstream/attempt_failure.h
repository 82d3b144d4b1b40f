/* What an attempt can end with, in one table. */
#pragma once

/* Name, word (metrics), text (logs). CONNECT_FAILED: TLS too; nothing was sent. REFUSED: the
 * backend says that nothing was processed (RFC 9113 8.7). RESET: before the head was complete.
 * OVERFLOW, NO_ROOM: nothing was sent, and nothing is to be sent now; NO_ROOM by no fault of the
 * backend. BAD_ANSWER: see bad_answer. TIMEOUT,
 * ERROR_ANSWER: the owner's verdict. */
#define ATTEMPT_FAILURES(X)                                                                        \
    X(OK, "none", "")                                                                              \
    X(NO_ENDPOINT, "no_endpoint", "the name does not resolve, or no endpoint is ready")            \
    X(CONNECT_FAILED, "connect_failed", "connection refused or unreachable")                       \
    X(CONNECT_TIMEOUT, "connect_timeout", "connect timeout")                                       \
    X(NO_UPGRADE, "no_upgrade", "the backend speaks HTTP/2 and takes no upgrade")                  \
    X(REFUSED, "refused", "the backend refused the stream unprocessed")                            \
    X(RESET, "reset", "connection closed before an answer")                                        \
    X(RESET_MIDWAY, "reset_midway", "connection closed inside the answer")                         \
    X(OVERFLOW, "overflow", "the backend is at the limit of its circuit breaker")                  \
    X(NO_ROOM, "no_room", "there are as many connections to backends as there may be")             \
    X(BAD_ANSWER, "bad_answer", "the answer is not valid HTTP")                                    \
    X(TIMEOUT, "timeout", "no answer in time")                                                     \
    X(ERROR_ANSWER, "error_answer", "the answer was an error")

enum attempt_failure {
#define X(name, word, text) ATTEMPT_##name,
    ATTEMPT_FAILURES(X)
#undef X
};
struct attempt_failure_row {
    const char *word;
    const char *text;
};

extern const struct attempt_failure_row attempt_failure_rows[]; /* by enum attempt_failure */
