/* The command line, parsed: subcommands, their options, and what to say when something is off. The
 * tables of both stand in app/cli/command_table.h. */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "gateway/server_options.h"
#include "net/socket.h"
#include "policy/cidr.h"

enum {
    OPTIONS_PATHS_MAX = 256,
    OPTIONS_LIST_MAX = 64,
    OPTIONS_HEADERS_MAX = 128,
    OPTIONS_WORKERS_MAX = 64,
    OPTIONS_MEMORY_MIN = 16 << 20, /* bytes; the process itself needs some */
    OPTIONS_SOCKET_PATH_MAX = 90, /* what an address of a local socket has room for, and a number */
    OPTIONS_OPERANDS_MAX = 64,
    OPTIONS_NAMESPACE_MAX = 63,
};

enum command {
    COMMAND_HELP,
    COMMAND_RUN,
    COMMAND_CHECK,
    COMMAND_EXPLAIN,
    COMMAND_GET,
    COMMAND_DESCRIBE,
    COMMAND_LOGS,
    COMMAND_HISTORY,
    COMMAND_DIFF,
    COMMAND_ROLLBACK,
    COMMAND_DOCS,
    COMMAND_COMPLETION,
    COMMAND_VERSION,
};
enum check_format { CHECK_TEXT, CHECK_JSON, CHECK_SARIF };
enum fail_on { FAIL_ON_ERROR, FAIL_ON_WARNING, FAIL_ON_NOTE };
enum object_output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_YAML, OUTPUT_JSON, OUTPUT_NAME };
/* A parent that holds the sockets and restarts: unless said, where it gives up rights of its own.
 */
enum supervision { SUPERVISION_AS_NEEDED, SUPERVISION_ON, SUPERVISION_OFF };

/* The request that is asked about. */
struct explain_words {
    struct str request;
    struct str headers[OPTIONS_HEADERS_MAX]; /* "Name: value" */
    size_t n_headers;
    struct str body;  /* or "@PATH"; ptr NULL: none */
    struct str token; /* the same */
    struct ip_address from;
};

/* Strings borrow from argv. */
struct options {
    enum command command;
    enum command help_about; /* COMMAND_HELP: everything */
    const char *operands[OPTIONS_OPERANDS_MAX];
    size_t n_operands;
    const char *paths[OPTIONS_PATHS_MAX];
    size_t n_paths;
    struct server_options server;
    struct port_mapping port_maps[OPTIONS_LIST_MAX];
    struct resolve_override resolves[OPTIONS_LIST_MAX];
    char dns_servers[512]; /* with commas */
    bool has_admin;
    bool has_probe;
    struct socket_address admin;
    struct socket_address probe;
    struct str admin_text;
    struct str probe_text;
    uint32_t drain_delay_s;
    uint32_t drain_timeout_s;
    enum check_format format;
    enum fail_on fail_on;
    struct explain_words explain;
    enum log_level log_level;
    const char *user;     /* NULL: not given */
    const char *takeover; /* a path; NULL: not given */
    const char *log_folders[OPTIONS_LIST_MAX];
    size_t n_log_folders;
    bool is_dry;              /* of rollback */
    bool is_forced;           /* so too */
    const char *state_folder; /* NULL: not given, nothing is kept */
    enum supervision supervision;
    bool has_sandbox;
    bool dumps_core;
    bool has_memory_limit;
    enum object_output output;
    struct str namespace;
    bool has_all_namespaces;
    bool has_no_headers;
    struct str selector;
    bool follows;
    bool has_tail;
    uint32_t tail; /* lines */
};

enum options_result {
    OPTIONS_USAGE = 1, /* `ret_why` says what is wrong: exit 2 */
};

/* 0 or OPTIONS_USAGE, with the command in `ret` as far as it was understood. */
MUST_USE int options_parse(int argc, char **argv, struct options *ret, struct buf *ret_why);
