/* The subcommands. Each returns the process's exit code. */
#pragma once

#include "app/options.h"

/* The pages that docs prints. */
#define DOCS_PAGES(X)                                                                              \
    X(config, "config")                                                                            \
    X(metrics, "metrics")                                                                          \
    X(refusals, "refusals")                                                                        \
    X(journey, "journey")                                                                          \
    X(limits, "limits")                                                                            \
    X(access_log, "access-log")                                                                    \
    X(man, "man")

/* 0 clean, 1 found something at or above --fail-on. */
int command_check(const struct options *o);
/* Objects of files or of a running gateway; 1: something was not found, or nobody answers. */
int command_get(const struct options *o);
int command_describe(const struct options *o);
/* The log of a running gateway; 1: nobody answers. */
int command_logs(const struct options *o);
/* 0 explained, whatever becomes of the request; 1 the manifests cannot be read, or nothing listens
 * there; 2 what is asked is no request. */
int command_explain(const struct options *o);
/* The configurations that served: all of them, what became of each object, and one written back; 1:
 * there is none, or it cannot be. */
int command_history(const struct options *o);
int command_diff(const struct options *o);
int command_rollback(const struct options *o);
/* Markdown on standard output from the tables that the program runs on; 2: unknown name. */
int command_docs(const char *name);
/* Serves until told to end, or lets a child of the same `argv` serve; 0 after a drain, 1 when it
 * cannot start. */
int command_run(struct options *o, char **argv);
