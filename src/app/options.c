/* Parsing argv by one table of options (rows below; help, the manual and the shells' completion are
 * printed from it too, app/cli). What is unknown is answered with the nearest known word. */
#include "app/options.h"

#include <stdio.h>

#include "app/cli/command_table.h"
#include "app/cpu_count.h"
#include "app/memory_limit.h"
#include "base/assert.h"
#include "policy/cidr.h"
#include "tree/value.h"

enum {
    FOR_RUN = 1 << COMMAND_RUN,
    FOR_CHECK = 1 << COMMAND_CHECK,
    FOR_GET = 1 << COMMAND_GET,
    FOR_DESCRIBE = 1 << COMMAND_DESCRIBE,
    FOR_LOGS = 1 << COMMAND_LOGS,
    FOR_OBJECTS = FOR_GET | FOR_DESCRIBE,
    FOR_ASKING = FOR_OBJECTS | FOR_LOGS,
    FOR_EXPLAIN = 1 << COMMAND_EXPLAIN,
    FOR_HISTORY = 1 << COMMAND_HISTORY,
    FOR_ROLLBACK = 1 << COMMAND_ROLLBACK,
    FOR_REVISIONS = FOR_HISTORY | FOR_ROLLBACK | 1 << COMMAND_DIFF,
    FOR_COMPILING = FOR_RUN | FOR_CHECK | FOR_EXPLAIN,
    FOR_FILES = FOR_COMPILING | FOR_OBJECTS,
};

static bool read_path(struct options *o, struct str value)
{
    if (o->n_paths == OPTIONS_PATHS_MAX || value.len == 0)
        return false;
    o->paths[o->n_paths++] = value.ptr;
    return true;
}

static bool read_port(struct str text, uint16_t *ret_port)
{
    uint64_t port;

    if (!str_to_u64(text, &port) || port < 1 || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool read_port_map(struct options *o, struct str value)
{
    struct port_mapping *m = &o->port_maps[o->server.n_port_maps];
    struct str from;

    if (o->server.n_port_maps == OPTIONS_LIST_MAX || !str_split(&value, '=', &from) || !value.ptr ||
        !read_port(from, &m->from) || !read_port(value, &m->to))
        return false;
    o->server.n_port_maps++;
    return true;
}

/* "HOST:PORT" at its last colon; IPv6 addresses in brackets. */
static bool read_host_port(struct str text, struct str *ret_host, uint16_t *ret_port)
{
    size_t colon = text.len;

    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon < 2 || !read_port(str_slice(text, colon, text.len), ret_port))
        return false;
    *ret_host = str_slice(text, 0, colon - 1);
    if (ret_host->ptr[0] == '[' && ret_host->ptr[ret_host->len - 1] == ']')
        *ret_host = str_slice(*ret_host, 1, ret_host->len - 1);
    return ret_host->len > 0;
}

static bool read_resolve(struct options *o, struct str value)
{
    struct resolve_override *r = &o->resolves[o->server.n_resolves];
    struct ip_address ip;
    struct str from;

    if (o->server.n_resolves == OPTIONS_LIST_MAX || !str_split(&value, '=', &from) || !value.ptr ||
        !read_host_port(from, &r->host, &r->port) || !read_host_port(value, &r->ip, &r->to_port) ||
        !ip_address_parse(r->ip, &ip))
        return false;
    o->server.n_resolves++;
    return true;
}

/* One more for the list that the resolver takes. */
static bool read_dns_server(struct options *o, struct str value)
{
    struct socket_address address;
    size_t n = strlen(o->dns_servers);

    if (value.len + 1 >= sizeof o->dns_servers - n || str_starts_with(value, STR(":")) ||
        socket_address_parse(value, &address) != 0)
        return false;
    snprintf(o->dns_servers + n, sizeof o->dns_servers - n, "%s%.*s", n > 0 ? "," : "",
             STR_ARG(value));
    o->server.dns_servers = o->dns_servers;
    return true;
}

static bool read_admin(struct options *o, struct str value)
{
    o->has_admin = !str_eq(value, STR("off"));
    o->admin_text = value;
    return !o->has_admin || socket_address_parse(value, &o->admin) == 0;
}

static bool read_probe(struct options *o, struct str value)
{
    o->has_probe = true;
    o->probe_text = value;
    return socket_address_parse(value, &o->probe) == 0;
}

static bool read_small(struct str value, uint64_t min, uint64_t max, uint32_t *ret)
{
    uint64_t number;

    if (!str_to_u64(value, &number) || number < min || number > max)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static bool read_workers(struct options *o, struct str value)
{
    return read_small(value, 1, OPTIONS_WORKERS_MAX, &o->server.n_workers);
}

static bool read_drain_delay(struct options *o, struct str value)
{
    return read_small(value, 0, 3600, &o->drain_delay_s);
}

static bool read_drain_timeout(struct options *o, struct str value)
{
    return read_small(value, 0, 86400, &o->drain_timeout_s);
}

static bool read_address_pool(struct options *o, struct str value)
{
    struct cidr pool;

    o->server.address_pool = value;
    return cidr_parse(value, &pool);
}

static bool read_memory_limit(struct options *o, struct str value)
{
    int64_t n = 0;

    if (!str_eq(value, STR("off")) && (!quantity_parse(value, &n) || n < OPTIONS_MEMORY_MIN))
        return false;
    o->server.memory_limit = (uint64_t)n;
    o->has_memory_limit = true;
    return true;
}

static bool read_cluster_domain(struct options *o, struct str value)
{
    o->server.cluster_domain = value;
    return value.len > 0 && value.len < 200 && value.ptr[0] != '.';
}

static bool read_word(struct str value, const char *const *words, int *ret_index)
{
    for (int i = 0; words[i]; i++) {
        if (str_eq(value, str_of(words[i]))) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static bool read_log_level(struct options *o, struct str value)
{
    static const char *const words[] = {"debug", "info", "warn", "error", NULL};
    int i = 0;
    bool is_known = read_word(value, words, &i);

    o->log_level = (enum log_level)i;
    return is_known;
}

static bool read_format(struct options *o, struct str value)
{
    static const char *const words[] = {"text", "json", "sarif", NULL};
    int i = 0;
    bool is_known = read_word(value, words, &i);

    o->format = (enum check_format)i;
    return is_known;
}

static bool read_fail_on(struct options *o, struct str value)
{
    static const char *const words[] = {"error", "warning", "note", NULL};
    int i = 0;
    bool is_known = read_word(value, words, &i);

    o->fail_on = (enum fail_on)i;
    return is_known;
}

static bool read_output(struct options *o, struct str value)
{
    static const char *const words[] = {"table", "wide", "yaml", "json", "name", NULL};
    int i = 0;
    bool is_known = read_word(value, words, &i);

    o->output = (enum object_output)i;
    return is_known;
}

static bool read_namespace(struct options *o, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-')
            return false;
    }
    o->namespace = value;
    return value.len > 0 && value.len <= OPTIONS_NAMESPACE_MAX;
}

static bool read_selector(struct options *o, struct str value)
{
    o->selector = value;
    return value.len > 0;
}

static bool read_tail(struct options *o, struct str value)
{
    o->has_tail = true;
    return read_small(value, 0, UINT32_MAX, &o->tail);
}

static bool switch_follow(struct options *o, struct str value UNUSED)
{
    o->follows = true;
    return true;
}

static bool switch_all_namespaces(struct options *o, struct str value UNUSED)
{
    o->has_all_namespaces = true;
    return true;
}

static bool switch_no_headers(struct options *o, struct str value UNUSED)
{
    o->has_no_headers = true;
    return true;
}

static bool read_user(struct options *o, struct str value)
{
    o->user = value.ptr;
    return value.len > 0;
}

static bool read_takeover(struct options *o, struct str value)
{
    o->takeover = value.ptr;
    return value.len > 0 && value.len <= OPTIONS_SOCKET_PATH_MAX;
}

static bool read_log_folder(struct options *o, struct str value)
{
    if (o->n_log_folders == OPTIONS_LIST_MAX || value.len == 0)
        return false;
    o->log_folders[o->n_log_folders++] = value.ptr;
    return true;
}

static bool read_request(struct options *o, struct str value)
{
    o->explain.request = value;
    return value.len > 0;
}

static bool read_header(struct options *o, struct str value)
{
    /* What is not read is not told either: it may be a credential. */
    if (o->explain.n_headers < OPTIONS_HEADERS_MAX)
        o->explain.headers[o->explain.n_headers] = value;
    o->explain.n_headers++;
    return true;
}

static bool read_body(struct options *o, struct str value)
{
    o->explain.body = value;
    return true;
}

static bool read_token(struct options *o, struct str value)
{
    o->explain.token = value;
    return true;
}

static bool read_from(struct options *o, struct str value)
{
    return ip_address_parse(value, &o->explain.from);
}

static bool switch_dry_run(struct options *o, struct str value UNUSED)
{
    o->is_dry = true;
    return true;
}

static bool switch_force(struct options *o, struct str value UNUSED)
{
    o->is_forced = true;
    return true;
}

static bool read_state_folder(struct options *o, struct str value)
{
    o->state_folder = value.ptr;
    return value.len > 0;
}

static bool switch_strict(struct options *o, struct str value UNUSED)
{
    o->server.is_strict = true;
    return true;
}

static bool switch_supervisor(struct options *o, struct str value UNUSED)
{
    o->supervision = SUPERVISION_ON;
    return true;
}

static bool switch_no_supervisor(struct options *o, struct str value UNUSED)
{
    o->supervision = SUPERVISION_OFF;
    return true;
}

static bool switch_no_sandbox(struct options *o, struct str value UNUSED)
{
    o->has_sandbox = false;
    return true;
}

static bool switch_core_dumps(struct options *o, struct str value UNUSED)
{
    o->dumps_core = true;
    return true;
}

/* In the order of the help. */
const struct option_row option_rows[] = {
    {"-f", "--filename", FOR_FILES, read_path, "PATH...", "a file or folder",
     "manifests: files, or folders of them", NULL, OPTION_TAKES_PATH},
    {"-f", "--filename", FOR_ROLLBACK, read_path, "PATH", "a file or folder",
     "write nothing beyond this (repeatable)", NULL, OPTION_TAKES_PATH},
    {"-f", "--follow", FOR_LOGS, switch_follow, NULL, NULL, "further lines, as they come", NULL,
     OPTION_TAKES_NOTHING},
    {"--tail", NULL, FOR_LOGS, read_tail, "N", "a number of lines", "only the last N lines", NULL,
     OPTION_TAKES_TEXT},
    {"-l", "--selector", FOR_LOGS, read_selector, "LABELS", "labels such as app=envoy-gateway",
     "whose logs; the gateway's, whatever it says", NULL, OPTION_TAKES_TEXT},
    {"-n", "--namespace", FOR_ASKING, read_namespace, "NAME", "a namespace", "of this namespace",
     "default", OPTION_TAKES_TEXT},
    {"-A", "--all-namespaces", FOR_OBJECTS, switch_all_namespaces, NULL, NULL, "of all namespaces",
     NULL, OPTION_TAKES_NOTHING},
    {"-o", "--output", FOR_GET, read_output, "table|wide|yaml|json|name",
     "table, wide, yaml, json or name", "how objects are printed", "table", OPTION_TAKES_WORD},
    {"-o", "--output", FOR_HISTORY, read_output, "table|json", "table or json",
     "how revisions are printed", "table", OPTION_TAKES_WORD},
    {"--dry-run", NULL, FOR_ROLLBACK, switch_dry_run, NULL, NULL,
     "say what would be written, and write nothing", NULL, OPTION_TAKES_NOTHING},
    {"--force", NULL, FOR_ROLLBACK, switch_force, NULL, NULL,
     "also over files that are not what served last", NULL, OPTION_TAKES_NOTHING},
    {"--no-headers", NULL, FOR_GET | FOR_HISTORY, switch_no_headers, NULL, NULL,
     "without the line that names the columns", NULL, OPTION_TAKES_NOTHING},
    {"--request", NULL, FOR_EXPLAIN, read_request, "'METHOD URL'",
     "a request such as 'POST http://host/path'", "the request; the URL's port is the listener's",
     NULL, OPTION_TAKES_TEXT},
    {"-H", NULL, FOR_EXPLAIN, read_header, "'NAME: VALUE'", "a header, 'Name: value'",
     "a header of it (repeatable)", NULL, OPTION_TAKES_TEXT},
    {"--body", NULL, FOR_EXPLAIN, read_body, "TEXT|@FILE", "text or @FILE", "its content", NULL,
     OPTION_TAKES_TEXT},
    {"--token", NULL, FOR_EXPLAIN, read_token, "TOKEN|@FILE", "a token or @FILE",
     "as Authorization: Bearer", NULL, OPTION_TAKES_TEXT},
    {"--from", NULL, FOR_EXPLAIN, read_from, "ADDR", "an IP address", "the client's address",
     "127.0.0.1", OPTION_TAKES_TEXT},
    {"--port-map", NULL, FOR_RUN | FOR_EXPLAIN, read_port_map, "FROM=TO", "FROM=TO, two ports",
     "listener port FROM is on port TO (repeatable)", NULL, OPTION_TAKES_TEXT},
    {"--resolve", NULL, FOR_RUN | FOR_EXPLAIN, read_resolve, "HOST:PORT=IP:PORT",
     "HOST:PORT=IP:PORT", "where a backend's name leads (repeatable)", NULL, OPTION_TAKES_TEXT},
    {"--dns-server", NULL, FOR_RUN, read_dns_server, "ADDR:PORT", "ADDR:PORT",
     "asked instead of those of resolv.conf (repeatable)", NULL, OPTION_TAKES_TEXT},
    {"--admin", NULL, FOR_RUN, read_admin, "ADDR:PORT|off", "ADDR:PORT or off", "admin and metrics",
     "127.0.0.1:9901", OPTION_TAKES_TEXT},
    {"--admin", NULL, FOR_ASKING | FOR_EXPLAIN, read_admin, "ADDR:PORT", "ADDR:PORT",
     "of the gateway that is asked", "127.0.0.1:9901", OPTION_TAKES_TEXT},
    {"--probe", NULL, FOR_RUN, read_probe, "ADDR:PORT", "ADDR:PORT",
     "only /ready, /healthz, /metrics: safe to expose", NULL, OPTION_TAKES_TEXT},
    {"--workers", NULL, FOR_RUN, read_workers, "N", "a number from 1 to 64",
     "threads that serve; else by the CPU quota", NULL, OPTION_TAKES_TEXT},
    {"--memory-limit", NULL, FOR_RUN, read_memory_limit, "SIZE|off", "a size from 16Mi on, or off",
     "shed beyond parts of it; else 90 % of the cgroup's", NULL, OPTION_TAKES_TEXT},
    {"--address-pool", NULL, FOR_RUN | FOR_EXPLAIN, read_address_pool, "CIDR",
     "a CIDR such as 127.0.1.0/24", "each Gateway gets an address of its own", NULL,
     OPTION_TAKES_TEXT},
    {"--cluster-domain", NULL, FOR_FILES, read_cluster_domain, "NAME", "a domain name",
     "what names of Services end with", "cluster.local", OPTION_TAKES_TEXT},
    {"--drain-delay", NULL, FOR_RUN, read_drain_delay, "S", "seconds, at most 3600",
     "after SIGTERM: not ready, still accepting", "5", OPTION_TAKES_TEXT},
    {"--drain-timeout", NULL, FOR_RUN, read_drain_timeout, "S", "seconds, at most 86400",
     "then: time for running requests", "60", OPTION_TAKES_TEXT},
    {"--log-level", NULL, FOR_RUN, read_log_level, "debug|info|warn|error",
     "debug, info, warn or error", "least severity of what is logged", "info", OPTION_TAKES_WORD},
    {"--user", NULL, FOR_RUN, read_user, "NAME", "the name of a user",
     "whom to become as root; else tollgate or nobody", NULL, OPTION_TAKES_TEXT},
    {"--no-supervisor", NULL, FOR_RUN, switch_no_supervisor, NULL, NULL,
     "without the parent that binds and restarts", NULL, OPTION_TAKES_NOTHING},
    {"--supervisor", NULL, FOR_RUN, switch_supervisor, NULL, NULL,
     "with that parent, whoever starts", NULL, OPTION_TAKES_NOTHING},
    {"--takeover", NULL, FOR_RUN, read_takeover, "PATH", "the path of a socket",
     "take the running gateway's ports over by this socket", NULL, OPTION_TAKES_PATH},
    {"--log-folder", NULL, FOR_RUN, read_log_folder, "PATH", "a folder",
     "where a reload may put access logs (repeatable)", NULL, OPTION_TAKES_PATH},
    {"--state-folder", NULL, FOR_RUN | FOR_REVISIONS, read_state_folder, "PATH", "a folder",
     "where each configuration that served is kept", NULL, OPTION_TAKES_PATH},
    {"--no-sandbox", NULL, FOR_RUN, switch_no_sandbox, NULL, NULL,
     "every system call and file that the user may use", NULL, OPTION_TAKES_NOTHING},
    {"--core-dumps", NULL, FOR_RUN, switch_core_dumps, NULL, NULL,
     "allowed; they hold keys and tokens", NULL, OPTION_TAKES_NOTHING},
    {"--format", NULL, FOR_CHECK, read_format, "text|json|sarif", "text, json or sarif",
     "how findings are printed", "text", OPTION_TAKES_WORD},
    {"--format", NULL, FOR_EXPLAIN, read_format, "text|json", "text or json",
     "how the explanation is printed", "text", OPTION_TAKES_WORD},
    {"--fail-on", NULL, FOR_CHECK, read_fail_on, "error|warning|note", "error, warning or note",
     "from which severity on the exit code is 1", "error", OPTION_TAKES_WORD},
    {"--strict", NULL, FOR_COMPILING, switch_strict, NULL, NULL,
     "missing Secrets, Services and the like are errors", NULL, OPTION_TAKES_NOTHING},
};
const size_t n_option_rows = N_ELEMENTS(option_rows);

static bool option_is_called(const struct option_row *row, struct str name)
{
    return str_eq(name, str_of(row->name)) || (row->alias && str_eq(name, str_of(row->alias)));
}

/* That of the command, where several have an option of this name. */
static const struct option_row *option_find(enum command command, struct str name)
{
    const struct option_row *other = NULL;

    for (size_t i = 0; i < N_ELEMENTS(option_rows); i++) {
        if (!option_is_called(&option_rows[i], name))
            continue;
        if (option_is_for(&option_rows[i], command))
            return &option_rows[i];
        other = &option_rows[i];
    }
    return other;
}

/* "--name=value", "-nvalue", "-n=value": name and value in one word. */
static void option_split(enum command command, struct str *name, struct str *ret_value)
{
    ssize_t equals = str_find_char(*name, '=', 0);
    const struct option_row *row = option_find(command, str_slice(*name, 0, 2));

    if (str_starts_with(*name, STR("--"))) {
        if (equals < 0)
            return;
        *ret_value = str_slice(*name, (size_t)equals + 1, name->len);
        *name = str_slice(*name, 0, (size_t)equals);
    } else if (name->len > 2 && row && row->argument && option_is_for(row, command)) {
        *ret_value = str_slice(*name, name->ptr[2] == '=' ? 3 : 2, name->len);
        *name = str_slice(*name, 0, 2);
    }
}

static int option_unknown(enum command command, struct str name, struct buf *ret_why)
{
    const char *nearest = NULL;
    unsigned best = 4;

    for (size_t i = 0; i < N_ELEMENTS(option_rows); i++) {
        unsigned distance = str_distance(name, str_of(option_rows[i].name), 3);

        if (distance < best && option_is_for(&option_rows[i], command)) {
            best = distance;
            nearest = option_rows[i].name;
        }
    }
    buf_printf(ret_why, "unknown option %.*s", STR_ARG(name));
    if (nearest)
        buf_printf(ret_why, "; did you mean %s?", nearest);
    return OPTIONS_USAGE;
}

/* Who has an option of this name, whatever it means there. */
static void option_list_commands(struct str name, struct buf *out)
{
    const char *before = "";

    for (size_t i = 0; i < n_command_rows; i++) {
        const struct option_row *row = option_find(command_rows[i].command, name);

        if (!row || !option_is_for(row, command_rows[i].command))
            continue;
        buf_printf(out, "%s%s", before, command_rows[i].word);
        before = ", ";
    }
}

/* One option and its value, in one word or in two. Moves *i past them. */
static int option_read(struct options *o, int argc, char **argv, int *i, struct buf *ret_why)
{
    struct str name = str_of(argv[*i]);
    struct str value = STR_NULL;
    const struct option_row *row;

    option_split(o->command, &name, &value);
    row = option_find(o->command, name);
    if (!row)
        return option_unknown(o->command, name, ret_why);
    if (!option_is_for(row, o->command)) {
        buf_printf(ret_why, "%.*s is not for this command but for: ", STR_ARG(name));
        option_list_commands(name, ret_why);
        return OPTIONS_USAGE;
    }
    if (!row->argument && !value.ptr)
        return row->read(o, value) ? 0 : OPTIONS_USAGE;
    if (!row->argument) {
        buf_printf(ret_why, "%.*s has no value", STR_ARG(name));
        return OPTIONS_USAGE;
    }
    if (!value.ptr && *i + 1 < argc)
        value = str_of(argv[++*i]);
    if (!value.ptr || !row->read(o, value)) {
        buf_printf(ret_why, "%.*s: expected %s%s%.*s", STR_ARG(name), row->expected,
                   value.ptr ? ", found " : "", STR_ARG(value));
        return OPTIONS_USAGE;
    }
    return 0;
}

static void options_set_defaults(struct options *o)
{
    o->server.port_maps = o->port_maps;
    o->server.resolves = o->resolves;
    o->has_sandbox = true;
    for (size_t i = 0; i < N_ELEMENTS(option_rows); i++) {
        const char *value = option_rows[i].value;
        bool is_ok = !value || option_rows[i].read(o, str_of(value));

        ASSERT(is_ok);
    }
}

static bool options_is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int options_command(const char *word, enum command *ret, struct buf *ret_why)
{
    const struct command_row *row = command_row_find(str_of(word));
    const char *nearest = NULL;
    unsigned best = 3;

    if (row) {
        *ret = row->command;
        return 0;
    }
    for (size_t i = 0; i < n_command_rows; i++) {
        unsigned distance = str_distance(str_of(word), str_of(command_rows[i].word), 2);

        if (distance < best) {
            best = distance;
            nearest = command_rows[i].word;
        }
    }
    buf_printf(ret_why, "unknown command %s", word);
    if (nearest)
        buf_printf(ret_why, "; did you mean %s?", nearest);
    return OPTIONS_USAGE;
}

/* What says how files are read, which a running gateway has done. */
static bool options_have_compiling(const struct options *o)
{
    return o->server.n_port_maps > 0 || o->server.n_resolves > 0 || o->server.is_strict ||
           o->server.address_pool.len > 0;
}

static int options_finish(struct options *o, struct buf *ret_why)
{
    const struct command_row *row = command_row_get(o->command);

    if (row->needs_paths && o->n_paths == 0) {
        buf_printf(ret_why, "no manifests: give -f PATH, a file or folder");
        return OPTIONS_USAGE;
    }
    if (o->n_operands < row->min_operands) {
        buf_printf(ret_why, "%s needs %s", row->word, row->operands);
        if (row->operand_words)
            buf_printf(ret_why, ", one of: %s", row->operand_words);
        return OPTIONS_USAGE;
    }
    if (o->command == COMMAND_EXPLAIN && !o->explain.request.ptr) {
        buf_printf(ret_why, "nothing to explain: give --request 'POST http://host/path'");
        return OPTIONS_USAGE;
    }
    if (o->command == COMMAND_EXPLAIN && o->n_paths == 0 && options_have_compiling(o)) {
        buf_printf(ret_why, "--port-map, --resolve, --address-pool and --strict are for files: "
                            "give -f PATH too, or leave them to the running gateway's own");
        return OPTIONS_USAGE;
    }
    if (o->explain.n_headers > OPTIONS_HEADERS_MAX) {
        buf_printf(ret_why, "-H: more than %d headers", OPTIONS_HEADERS_MAX);
        return OPTIONS_USAGE;
    }
    if (o->command == COMMAND_EXPLAIN && o->format == CHECK_SARIF) {
        buf_printf(ret_why, "--format: expected text or json, found sarif");
        return OPTIONS_USAGE;
    }
    if (o->command == COMMAND_HELP && o->n_operands > 0)
        return options_command(o->operands[0], &o->help_about, ret_why);
    if (o->command == COMMAND_RUN && o->server.n_workers == 0)
        o->server.n_workers = MIN(cpu_count_default(), (uint32_t)OPTIONS_WORKERS_MAX);
    if (o->command == COMMAND_RUN && !o->has_memory_limit)
        o->server.memory_limit = memory_limit_default();
    return 0;
}

/* A word that is no option: what the command is about; or, where it is about nothing, one more path
 * behind an -f ("-f a b"). */
static int options_operand(struct options *o, const char *word, struct buf *ret_why)
{
    const struct command_row *row = command_row_get(o->command);

    if (o->n_operands < row->max_operands) {
        o->operands[o->n_operands++] = word;
        return 0;
    }
    if (row->max_operands == 0 && o->n_paths > 0 && read_path(o, str_of(word)))
        return 0;
    if (row->max_operands > 1) {
        buf_printf(ret_why, "more than %u names", row->max_operands);
        return OPTIONS_USAGE;
    }
    buf_printf(ret_why, "unexpected argument %s", word);
    if (o->n_paths == 0 && row->needs_paths)
        buf_printf(ret_why, "; did you mean -f %s?", word);
    return OPTIONS_USAGE;
}

int options_parse(int argc, char **argv, struct options *ret, struct buf *ret_why)
{
    *ret = (struct options){.command = COMMAND_HELP};
    options_set_defaults(ret);
    if (argc < 2)
        return 0;
    if (options_command(argv[1], &ret->command, ret_why) != 0)
        return OPTIONS_USAGE;
    for (int i = 2; i < argc; i++) {
        if (options_is_help(argv[i])) {
            ret->help_about = ret->command;
            ret->command = COMMAND_HELP;
            return 0;
        }
    }
    for (int i = 2; i < argc; i++) {
        int r = argv[i][0] == '-' ? option_read(ret, argc, argv, &i, ret_why)
                                  : options_operand(ret, argv[i], ret_why);

        if (r != 0)
            return r;
    }
    return options_finish(ret, ret_why);
}
