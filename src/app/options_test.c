/* The command line and the default number of workers, as tables of cases. */
#include "app/cgroup.h"
#include "app/cpu_count.h"
#include "app/memory_limit.h"
#include "app/options.h"
#include "test/harness/test.h"

enum { ARGS_MAX = 200 };

static int parse(const char *line, struct options *ret, struct buf *ret_why)
{
    static char text[8192]; /* options borrow from it */
    static char program[] = "tollgate";
    char *argv[ARGS_MAX + 1] = {program};
    int argc = 1;

    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        CHECK(argc < ARGS_MAX);
        argv[argc++] = word;
    }
    buf_clear(ret_why);
    return options_parse(argc, argv, ret, ret_why);
}

TEST(usage_errors_say_what_was_expected)
{
    static const struct {
        const char *line;
        const char *why;
    } rows[] = {
        {"walk", "unknown command walk"},
        {"rnu -f x", "did you mean run?"},
        {"run", "give -f PATH"},
        {"check", "give -f PATH"},
        {"docs", "docs needs NAME, one of: config"},
        {"run -f x --port-mpa 80=81", "did you mean --port-map?"},
        {"run -f x --zzzzzzzz", "unknown option --zzzzzzzz"},
        {"run -f", "expected a file or folder"},
        {"run x", "unexpected argument x"},
        {"run x", "did you mean -f x?"},
        {"run -f x -n a", "-n is not for this command"},
        {"describe -n a", "describe needs KIND"},
        {"get", "get needs KIND"},
        {"describe gtw -o yaml", "-o is not for this command"},
        {"get gtw -n a/b", "a namespace"},
        {"get gtw -n A", "a namespace"},
        {"get gtw -oxml", "found xml"},
        {"get gtw -o xml", "table, wide, yaml, json or name"},
        {"get gtw --follow", "--follow is not for this command"},
        {"logs -f x", "unexpected argument x"},
        {"logs -l", "labels such as"},
        {"logs --tail some", "a number of lines"},
        {"logs x", "unexpected argument x"},
        {"run -f= --strict", "expected a file or folder"},
        {"run -g", "unknown option -g"},
        {"run --filename=", "--filename: expected a file or folder"},
        {"run -x=y", "unknown option -x=y"},
        {"run -f x --format json", "--format is not for this command but for: check"},
        {"check -f x --strickt", "did you mean --strict?"},
        {"check -f x --workerz 2", "unknown option --workerz"},
        {"help me", "unknown command me"},
        {"help run check", "unexpected argument check"},
        {"completion", "completion needs SHELL, one of: bash zsh fish"},
        {"check -f x --workers 2", "--workers is not for this command"},
        {"run -f x --port-map 80", "FROM=TO"},
        {"run -f x --port-map 0=80", "FROM=TO"},
        {"run -f x --port-map 80=65536", "FROM=TO"},
        {"run -f x --resolve a=127.0.0.1:1", "HOST:PORT=IP:PORT"},
        {"run -f x --resolve a:1=b:1", "HOST:PORT=IP:PORT"},
        {"run -f x --resolve :1=127.0.0.1:1", "HOST:PORT=IP:PORT"},
        {"run -f x --dns-server 127.0.0.1", "ADDR:PORT"},
        {"run -f x --memory-limit 15Mi", "a size from 16Mi on, or off"},
        {"run -f x --memory-limit lots", "a size from 16Mi on, or off"},
        {"run -f x --dns-server :53", "ADDR:PORT"},
        {"run -f x --dns-server ns.test:53", "ADDR:PORT"},
        {"run -f x --admin nowhere", "ADDR:PORT or off"},
        {"run -f x --probe 127.0.0.1", "ADDR:PORT"},
        {"run -f x --workers 0", "1 to 64"},
        {"run -f x --workers 65", "1 to 64"},
        {"run -f x --workers -1", "1 to 64"},
        {"run -f x --workers", "1 to 64"},
        {"run -f x --address-pool 10.0.0.0/99", "a CIDR"},
        {"run -f x --cluster-domain .local", "a domain name"},
        {"run -f x --drain-delay 3601", "at most 3600"},
        {"run -f x --drain-timeout 86401", "at most 86400"},
        {"run -f x --log-level loud", "debug, info, warn or error"},
        {"check -f x --format xml", "text, json or sarif"},
        {"check -f x --fail-on never", "error, warning or note"},
        {"check -f x --format=xml", "found xml"},
        {"run -f x --user", "the name of a user"},
        {"run -f x --user=", "the name of a user"},
        {"run -f x --log-folder=", "a folder"},
        {"run -f x --takeover", "the path of a socket"},
        {"run -f x --takeover=", "the path of a socket"},
        {"run -f x --takeover "
         "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/"
         "t/u/"
         "s",
         "the path of a socket"},
        {"check -f x --takeover a", "--takeover is not for this command"},
        {"run -f x --no-sandbox=yes", "--no-sandbox has no value"},
        {"check -f x --supervisor", "--supervisor is not for this command"},
    };
    struct buf why = {0};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        static struct options o;
        int r = parse(rows[i].line, &o, &why);

        buf_append_char(&why, '\0');
        CHECK_MSG(r == OPTIONS_USAGE, "%s: %d", rows[i].line, r);
        CHECK_MSG(strstr(why.ptr, rows[i].why), "%s: %s", rows[i].line, why.ptr);
    }
    buf_deinit(&why);
}

TEST(options_of_run_are_read)
{
    static struct options o;
    struct buf why = {0};

    CHECK_INT(parse("run -f a b --port-map 80=8080 --port-map=443=8443 "
                    "--resolve [2001:db8::1]:80=[::1]:81 --dns-server 127.0.0.1:5353 --dns-server "
                    "[::1]:53 --memory-limit 64Mi --workers 3 --strict",
                    &o, &why),
              0);
    CHECK_INT(o.command, COMMAND_RUN);
    CHECK_INT(o.n_paths, 2);
    CHECK(strcmp(o.paths[1], "b") == 0);
    CHECK_INT(o.server.n_port_maps, 2);
    CHECK_INT(o.server.port_maps[1].from, 443);
    CHECK_INT(o.server.port_maps[1].to, 8443);
    CHECK_INT(o.server.n_resolves, 1);
    CHECK_INT(o.server.memory_limit, 64 << 20);
    CHECK_STR(str_of(o.server.dns_servers), "127.0.0.1:5353,[::1]:53");
    CHECK_STR(o.server.resolves[0].host, "2001:db8::1");
    CHECK_STR(o.server.resolves[0].ip, "::1");
    CHECK_INT(o.server.resolves[0].to_port, 81);
    CHECK_INT(o.server.n_workers, 3);
    CHECK(o.server.is_strict);
    CHECK_INT(parse("run -f a --admin off --probe :9902 --address-pool 127.0.1.0/24 "
                    "--drain-delay 0 --drain-timeout=7",
                    &o, &why),
              0);
    CHECK(!o.has_admin && o.has_probe);
    CHECK_INT(socket_address_port(&o.probe), 9902);
    CHECK_STR(o.server.address_pool, "127.0.1.0/24");
    CHECK_INT(o.drain_delay_s, 0);
    CHECK_INT(o.drain_timeout_s, 7);
    CHECK_INT(parse("run -f a --user gateway --log-folder /var/log/a --log-folder=/b --supervisor "
                    "--no-sandbox --core-dumps --takeover /run/t",
                    &o, &why),
              0);
    CHECK(strcmp(o.takeover, "/run/t") == 0);
    CHECK(strcmp(o.user, "gateway") == 0 && strcmp(o.log_folders[1], "/b") == 0);
    CHECK_INT(o.n_log_folders, 2);
    CHECK(!o.has_sandbox && o.dumps_core);
    CHECK_INT(o.supervision, SUPERVISION_ON);
    CHECK_INT(parse("run -f a --no-supervisor", &o, &why), 0);
    CHECK_INT(o.supervision, SUPERVISION_OFF);
    buf_deinit(&why);
}

TEST(what_is_not_given_has_a_default)
{
    static struct options o;
    struct buf why = {0};

    CHECK_INT(parse("run -f a", &o, &why), 0);
    CHECK(o.has_admin && !o.has_probe && !o.server.is_strict);
    CHECK_STR(o.admin_text, "127.0.0.1:9901");
    CHECK_STR(o.server.cluster_domain, "cluster.local");
    CHECK(o.server.n_workers >= 1 && o.server.n_workers <= OPTIONS_WORKERS_MAX);
    CHECK_INT(o.drain_delay_s, 5);
    CHECK_INT(o.log_level, LOG_INFO);
    CHECK(!o.user && !o.takeover && o.has_sandbox && !o.dumps_core && o.n_log_folders == 0);
    CHECK_INT(o.supervision, SUPERVISION_AS_NEEDED);
    CHECK_INT(parse("check -f a", &o, &why), 0);
    CHECK_INT(o.format, CHECK_TEXT);
    CHECK_INT(o.fail_on, FAIL_ON_ERROR);
    buf_deinit(&why);
}

TEST(other_commands_are_read)
{
    static const struct {
        const char *line;
        enum command command;
    } rows[] = {{"", COMMAND_HELP},
                {"help", COMMAND_HELP},
                {"--help", COMMAND_HELP},
                {"run --help", COMMAND_HELP},
                {"check -h", COMMAND_HELP},
                {"run -f a --nonsense --help", COMMAND_HELP},
                {"completion fish", COMMAND_COMPLETION},
                {"version", COMMAND_VERSION},
                {"--version", COMMAND_VERSION},
                {"docs limits", COMMAND_DOCS},
                {"check -f a --format sarif --fail-on note", COMMAND_CHECK}};
    struct buf why = {0};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        static struct options o;

        CHECK_MSG(parse(rows[i].line, &o, &why) == 0, "%s", rows[i].line);
        CHECK_MSG(o.command == rows[i].command, "%s: %d", rows[i].line, o.command);
    }
    buf_deinit(&why);
}

TEST(a_short_option_and_its_value_may_be_one_word)
{
    static const char *const lines[] = {"run -f a", "run -fa", "run -f=a", "run --filename a",
                                        "run --filename=a"};
    static struct options o;
    struct buf why = {0};

    for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
        CHECK_MSG(parse(lines[i], &o, &why) == 0, "%s", lines[i]);
        CHECK_MSG(o.n_paths == 1 && strcmp(o.paths[0], "a") == 0, "%s", lines[i]);
    }
    buf_deinit(&why);
}

TEST(help_is_about_a_command)
{
    static struct options o;
    struct buf why = {0};

    CHECK_INT(parse("check --help", &o, &why), 0);
    CHECK_INT(o.help_about, COMMAND_CHECK);
    CHECK_INT(parse("help run", &o, &why), 0);
    CHECK_INT(o.help_about, COMMAND_RUN);
    CHECK_INT(parse("help", &o, &why), 0);
    CHECK_INT(o.help_about, COMMAND_HELP);
    CHECK_INT(parse("docs limits", &o, &why), 0);
    CHECK(o.n_operands == 1 && strcmp(o.operands[0], "limits") == 0);
    buf_deinit(&why);
}

TEST(lists_have_an_end)
{
    static struct options o;
    struct buf line = {0};
    struct buf why = {0};

    buf_printf(&line, "run -f x");
    for (int i = 0; i < OPTIONS_LIST_MAX; i++)
        buf_printf(&line, " --port-map 80=81");
    buf_append_char(&line, '\0');
    CHECK_INT(parse(line.ptr, &o, &why), 0);
    line.len--;
    buf_printf(&line, " --port-map 80=81");
    buf_append_char(&line, '\0');
    CHECK_INT(parse(line.ptr, &o, &why), OPTIONS_USAGE);
    CHECK_INT(o.server.n_port_maps, OPTIONS_LIST_MAX);
    buf_deinit(&line);
    buf_deinit(&why);
}

TEST(cpu_quotas_are_rounded_up)
{
    CHECK_INT(cpu_count_parse_max(STR("200000 100000\n")), 2);
    CHECK_INT(cpu_count_parse_max(STR("150000 100000\n")), 2);
    CHECK_INT(cpu_count_parse_max(STR("1000 100000")), 1);
    CHECK_INT(cpu_count_parse_max(STR("max 100000\n")), 0);
    CHECK_INT(cpu_count_parse_max(STR("1 0\n")), 0);
    CHECK_INT(cpu_count_parse_max(STR("garbage")), 0);
    CHECK_INT(cpu_count_parse_max(STR_NULL), 0);
    CHECK_INT(cpu_count_parse_cfs(STR("250000\n"), STR("100000\n")), 3);
    CHECK_INT(cpu_count_parse_cfs(STR("-1\n"), STR("100000\n")), 0);
    CHECK_INT(cpu_count_parse_cfs(STR("5\n"), STR_NULL), 0);
    CHECK(cpu_count_default() >= 1);
}

TEST(a_memory_limit_is_read_and_none_told_apart)
{
    CHECK_INT(memory_limit_parse(STR("1073741824\n")), 1073741824);
    CHECK_INT(memory_limit_parse(STR("max\n")), 0);
    CHECK_INT(memory_limit_parse(STR("9223372036854771712\n")), 0);
    CHECK_INT(memory_limit_parse(STR_NULL), 0);
}

TEST(the_cgroup_is_found_in_its_list)
{
    static const char v1[] = "9:memory:/m\n4:cpuset:/s\n3:cpu,cpuacct:/docker/abc\n0::/two\n";

    CHECK_STR(cgroup_find_path(str_of(v1), "cpu", false), "/docker/abc");
    CHECK_STR(cgroup_find_path(str_of(v1), "cpu", true), "/two");
    CHECK(!cgroup_find_path(STR("4:cpuset:/s\n"), "cpu", false).ptr);
    CHECK(!cgroup_find_path(STR("\n::\nx"), "cpu", true).ptr);
}

TEST(names_of_get_have_an_end)
{
    struct buf line = {0};
    struct buf why = {0};
    struct options o;

    buf_printf(&line, "get -f x gtw");
    for (int i = 1; i < OPTIONS_OPERANDS_MAX; i++)
        buf_printf(&line, " n");
    buf_append_char(&line, '\0');
    CHECK(parse(line.ptr, &o, &why) == 0 && o.n_operands == OPTIONS_OPERANDS_MAX);
    line.len--;
    buf_printf(&line, " n");
    buf_append_char(&line, '\0');
    CHECK(parse(line.ptr, &o, &why) == OPTIONS_USAGE && o.n_paths == 1);
    CHECK_STR(buf_str(&why), "more than 64 names");
    buf_deinit(&line);
    buf_deinit(&why);
}

TEST(get_takes_the_forms_of_kubectl)
{
    static const char *const lines[] = {
        "get gtw a -n ns -f x -o yaml", "get gtw a --namespace=ns -f x --output=yaml",
        "get -nns gtw -fx -oyaml a",    "get -n=ns -o=yaml gtw a -f=x",
        "get gtw -f x a -o yaml -n ns",
    };
    struct options o;
    struct buf why = {0};

    for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
        CHECK_MSG(parse(lines[i], &o, &why) == 0, "%s", lines[i]);
        CHECK(o.command == COMMAND_GET && o.output == OUTPUT_YAML && !o.has_all_namespaces);
        CHECK_STR(o.namespace, "ns");
        CHECK_MSG(o.n_paths == 1 && strcmp(o.paths[0], "x") == 0, "%s", lines[i]);
        CHECK_MSG(o.n_operands == 2 && strcmp(o.operands[0], "gtw") == 0, "%s", lines[i]);
        CHECK(strcmp(o.operands[1], "a") == 0);
    }
    CHECK(parse("describe gtw -A", &o, &why) == 0 && o.has_all_namespaces && o.n_paths == 0);
    CHECK_STR(o.namespace, "default");
    CHECK(o.has_admin && socket_address_port(&o.admin) == 9901);
    buf_deinit(&why);
}

TEST(the_f_of_logs_follows)
{
    struct options o;
    struct buf why = {0};

    CHECK(parse("logs -f -lapp=a --tail=3 -n b", &o, &why) == 0);
    CHECK(o.command == COMMAND_LOGS && o.follows && o.has_tail && o.tail == 3 && o.n_paths == 0);
    CHECK_STR(o.selector, "app=a");
    CHECK_STR(o.namespace, "b");
    CHECK(parse("logs", &o, &why) == 0 && !o.follows && !o.has_tail && o.selector.len == 0);
    buf_deinit(&why);
}

TEST(a_request_is_asked_about_with_all_that_it_has)
{
    static struct options o;
    struct buf why = {0};

    CHECK_INT(parse("explain -f x --request http://h/ -H a:1 -H b:2 --body @b --token=t --from ::1 "
                    "--format json --port-map 80=8080",
                    &o, &why),
              0);
    CHECK_INT(o.command, COMMAND_EXPLAIN);
    CHECK_STR(o.explain.request, "http://h/");
    CHECK_INT(o.explain.n_headers, 2);
    CHECK_STR(o.explain.headers[1], "b:2");
    CHECK_STR(o.explain.body, "@b");
    CHECK_STR(o.explain.token, "t");
    CHECK(o.explain.from.is_valid && o.format == CHECK_JSON && o.server.n_port_maps == 1);
    CHECK_INT(parse("explain -f x", &o, &why), OPTIONS_USAGE);
    CHECK_INT(parse("explain --request http://h/", &o, &why), 0);
    CHECK(o.has_admin && o.n_paths == 0);
    CHECK_INT(parse("explain --request http://h/ --admin [::1]:1", &o, &why), 0);
    CHECK_STR(o.admin_text, "[::1]:1");
    CHECK_INT(parse("explain --request http://h/ --port-map 1=2", &o, &why), OPTIONS_USAGE);
    CHECK_INT(parse("explain --request http://h/ --resolve a:1=::1:2", &o, &why), OPTIONS_USAGE);
    CHECK_INT(parse("explain --request http://h/ --strict", &o, &why), OPTIONS_USAGE);
    CHECK_INT(parse("explain --request http://h/ --address-pool 10.0.0.0/8", &o, &why),
              OPTIONS_USAGE);
    CHECK_INT(parse("explain -f x --request http://h/ --format sarif", &o, &why), OPTIONS_USAGE);
    CHECK_INT(parse("explain -f x --request http://h/ --workers 2", &o, &why), OPTIONS_USAGE);
    CHECK_INT(parse("run -f x --token t", &o, &why), OPTIONS_USAGE);
    buf_deinit(&why);
}
