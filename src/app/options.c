/* Parsing argv by one table of options: name, which commands take it, and the function that reads
 * its value. An unknown option is answered with the nearest known one. */
#include "app/options.h"

#include <stdio.h>

#include "app/cpu_count.h"
#include "app/memory_limit.h"
#include "base/assert.h"
#include "policy/cidr.h"
#include "tree/value.h"

const char options_help[] =
    "tollgate: AI inference gateway for Gateway API manifests\n"
    "\n"
    "  tollgate run -f PATH...      serve the manifests (files or folders), reloading on change\n"
    "  tollgate check -f PATH...    say what is wrong with them; exit 0 clean, 1 found, 2 usage\n"
    "  tollgate docs NAME           reference: config, metrics, refusals, journey, limits,\n"
    "                               access-log\n"
    "  tollgate version\n"
    "\n"
    "run:\n"
    "  --port-map FROM=TO           listener port FROM is served on port TO (repeatable)\n"
    "  --resolve HOST:PORT=IP:PORT  where a backend's name leads (repeatable)\n"
    "  --dns-server ADDR:PORT       asked instead of those of resolv.conf (repeatable)\n"
    "  --admin ADDR:PORT|off        admin and metrics, 127.0.0.1:9901 unless given\n"
    "  --probe ADDR:PORT            only /ready, /healthz and /metrics: safe to expose\n"
    "  --workers N                  threads that serve; from the CPU quota unless given\n"
    "  --memory-limit SIZE|off      beyond parts of it, shed; 90 % of the cgroup's unless given\n"
    "  --address-pool CIDR          each Gateway gets an address of its own\n"
    "  --cluster-domain NAME        cluster.local unless given\n"
    "  --drain-delay S              after SIGTERM: not ready, still accepting (5)\n"
    "  --drain-timeout S            then: time for running requests (60)\n"
    "  --log-level LEVEL            debug, info, warn, error\n"
    "  --user NAME                  whom to become when started as root (tollgate or nobody)\n"
    "  --no-supervisor              without the parent that binds and restarts for such a user\n"
    "  --supervisor                 with that parent, whoever starts\n"
    "  --takeover PATH              take over the ports of the gateway that offers them at this\n"
    "                               socket, if one does, and offer them to the next\n"
    "  --log-folder PATH            where a reload may put access logs (repeatable)\n"
    "  --no-sandbox                 all system calls and files that the user may use\n"
    "  --core-dumps                 allowed; they hold keys and tokens\n"
    "check:\n"
    "  --format text|json|sarif     how findings are printed\n"
    "  --fail-on error|warning|note from which severity on the exit code is 1\n"
    "both:\n"
    "  --strict                     missing Secrets, Services and the like are errors\n"
    "\n"
    "Example: tollgate run -f config/envoy-gateway --port-map 80=10080 --port-map 443=10443\n";

typedef bool option_fn(struct options *o, struct str value);

struct option_row {
    const char *name;
    unsigned commands; /* 1 << enum command */
    option_fn *read;
    const char *expected; /* NULL: a switch, without a value */
};

enum { FOR_RUN = 1 << COMMAND_RUN, FOR_CHECK = 1 << COMMAND_CHECK };

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

static const struct option_row option_rows[] = {
    {"-f", FOR_RUN | FOR_CHECK, read_path, "a file or folder"},
    {"--port-map", FOR_RUN, read_port_map, "FROM=TO, two ports"},
    {"--resolve", FOR_RUN, read_resolve, "HOST:PORT=IP:PORT"},
    {"--dns-server", FOR_RUN, read_dns_server, "ADDR:PORT"},
    {"--admin", FOR_RUN, read_admin, "ADDR:PORT or off"},
    {"--probe", FOR_RUN, read_probe, "ADDR:PORT"},
    {"--workers", FOR_RUN, read_workers, "a number from 1 to 64"},
    {"--address-pool", FOR_RUN, read_address_pool, "a CIDR such as 127.0.1.0/24"},
    {"--memory-limit", FOR_RUN, read_memory_limit, "a size from 16Mi on, or off"},
    {"--cluster-domain", FOR_RUN | FOR_CHECK, read_cluster_domain, "a domain name"},
    {"--drain-delay", FOR_RUN, read_drain_delay, "seconds, at most 3600"},
    {"--drain-timeout", FOR_RUN, read_drain_timeout, "seconds, at most 86400"},
    {"--log-level", FOR_RUN, read_log_level, "debug, info, warn or error"},
    {"--format", FOR_CHECK, read_format, "text, json or sarif"},
    {"--fail-on", FOR_CHECK, read_fail_on, "error, warning or note"},
    {"--user", FOR_RUN, read_user, "the name of a user"},
    {"--log-folder", FOR_RUN, read_log_folder, "a folder"},
    {"--takeover", FOR_RUN, read_takeover, "the path of a socket"},
    {"--supervisor", FOR_RUN, switch_supervisor, NULL},
    {"--no-supervisor", FOR_RUN, switch_no_supervisor, NULL},
    {"--no-sandbox", FOR_RUN, switch_no_sandbox, NULL},
    {"--core-dumps", FOR_RUN, switch_core_dumps, NULL},
    {"--strict", FOR_RUN | FOR_CHECK, switch_strict, NULL},
};

static const struct option_row *option_find(struct str name)
{
    for (size_t i = 0; i < N_ELEMENTS(option_rows); i++) {
        if (str_eq(name, str_of(option_rows[i].name)))
            return &option_rows[i];
    }
    return NULL;
}

static int option_unknown(struct str name, struct buf *ret_why)
{
    const char *nearest = NULL;
    unsigned best = 4;

    for (size_t i = 0; i < N_ELEMENTS(option_rows); i++) {
        unsigned distance = str_distance(name, str_of(option_rows[i].name), 3);

        if (distance < best) {
            best = distance;
            nearest = option_rows[i].name;
        }
    }
    buf_printf(ret_why, "unknown option %.*s", STR_ARG(name));
    if (nearest)
        buf_printf(ret_why, "; did you mean %s?", nearest);
    return OPTIONS_USAGE;
}

/* One option and its value, "--name value" or "--name=value". Moves *i past them. */
static int option_read(struct options *o, int argc, char **argv, int *i, struct buf *ret_why)
{
    struct str name = str_of(argv[*i]);
    struct str value = STR_NULL;
    ssize_t equals = str_starts_with(name, STR("--")) ? str_find_char(name, '=', 0) : -1;
    const struct option_row *row;

    if (equals > 0) {
        value = str_slice(name, (size_t)equals + 1, name.len);
        name = str_slice(name, 0, (size_t)equals);
    }
    row = option_find(name);
    if (!row)
        return option_unknown(name, ret_why);
    if (!(row->commands & 1U << o->command)) {
        buf_printf(ret_why, "%s is not for this command", row->name);
        return OPTIONS_USAGE;
    }
    if (!row->expected && !value.ptr)
        return row->read(o, value) ? 0 : OPTIONS_USAGE;
    if (!row->expected) {
        buf_printf(ret_why, "%s has no value", row->name);
        return OPTIONS_USAGE;
    }
    if (!value.ptr && *i + 1 < argc)
        value = str_of(argv[++*i]);
    if (!value.ptr || !row->read(o, value)) {
        buf_printf(ret_why, "%s: expected %s%s%.*s", row->name, row->expected,
                   value.ptr ? ", found " : "", STR_ARG(value));
        return OPTIONS_USAGE;
    }
    return 0;
}

static void options_set_defaults(struct options *o)
{
    bool is_ok = read_admin(o, STR("127.0.0.1:9901"));

    ASSERT(is_ok);
    o->server.cluster_domain = STR("cluster.local");
    o->server.port_maps = o->port_maps;
    o->server.resolves = o->resolves;
    o->drain_delay_s = OPTIONS_DRAIN_DELAY_S;
    o->drain_timeout_s = OPTIONS_DRAIN_TIMEOUT_S;
    o->log_level = LOG_INFO;
    o->has_sandbox = true;
}

static const struct {
    const char *word;
    enum command command;
} command_rows[] = {{"run", COMMAND_RUN},           {"check", COMMAND_CHECK},
                    {"docs", COMMAND_DOCS},         {"version", COMMAND_VERSION},
                    {"--version", COMMAND_VERSION}, {"help", COMMAND_HELP},
                    {"--help", COMMAND_HELP},       {"-h", COMMAND_HELP}};

static int options_command(struct options *o, const char *word, struct buf *ret_why)
{
    const char *nearest = NULL;
    unsigned best = 3;

    for (size_t i = 0; i < N_ELEMENTS(command_rows); i++) {
        unsigned distance = str_distance(str_of(word), str_of(command_rows[i].word), 2);

        if (strcmp(word, command_rows[i].word) == 0) {
            o->command = command_rows[i].command;
            return 0;
        }
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

static int options_finish(struct options *o, struct buf *ret_why)
{
    bool needs_path = o->command == COMMAND_RUN || o->command == COMMAND_CHECK;

    if (needs_path && o->n_paths == 0) {
        buf_printf(ret_why, "no manifests: give -f PATH");
        return OPTIONS_USAGE;
    }
    if (o->command == COMMAND_DOCS && !o->docs_name) {
        buf_printf(ret_why,
                   "docs needs a name: config, metrics, refusals, journey, limits or access-log");
        return OPTIONS_USAGE;
    }
    if (o->command == COMMAND_RUN && o->server.n_workers == 0)
        o->server.n_workers = MIN(cpu_count_default(), (uint32_t)OPTIONS_WORKERS_MAX);
    if (o->command == COMMAND_RUN && !o->has_memory_limit)
        o->server.memory_limit = memory_limit_default();
    return 0;
}

int options_parse(int argc, char **argv, struct options *ret, struct buf *ret_why)
{
    *ret = (struct options){.command = COMMAND_HELP};
    options_set_defaults(ret);
    if (argc < 2)
        return 0;
    if (options_command(ret, argv[1], ret_why) != 0)
        return OPTIONS_USAGE;
    for (int i = 2; i < argc; i++) {
        int r = 0;

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            ret->command = COMMAND_HELP;
        else if (argv[i][0] == '-')
            r = option_read(ret, argc, argv, &i, ret_why);
        else if (ret->command == COMMAND_DOCS && !ret->docs_name)
            ret->docs_name = argv[i];
        else if (ret->n_paths == 0 || !read_path(ret, str_of(argv[i]))) {
            /* Further paths may follow one -f: "-f a b". */
            buf_printf(ret_why, "unexpected argument %s", argv[i]);
            r = OPTIONS_USAGE;
        }
        if (r != 0)
            return r;
    }
    return ret->command == COMMAND_HELP ? 0 : options_finish(ret, ret_why);
}
