/* The commands, in the order of the help. See command_table.h. */
#include "app/cli/command_table.h"

#include "app/cli/completion.h"
#include "app/commands.h"
#include "base/assert.h"
#include "manifest/kind.h"

#define DOCS_WORD(page, word)                   " " word
#define SHELL_WORD(name)                        " " #name
#define KIND_WORD(id, group, name, plural, ...) " " plural

const struct command_row command_rows[] = {
    {
        .word = "run",
        .command = COMMAND_RUN,
        .summary = "serve the manifests, reloading them on change",
        .text = "Serves what the manifests say until SIGTERM, which drains. Files that change are "
                "loaded without dropping a request (SIGHUP asks for it); SIGUSR1 opens access logs "
                "anew. Started as root it serves as another user.",
        .needs_paths = true,
        .examples = {{"tollgate run -f config/envoy-gateway --port-map 80=10080 --port-map "
                      "443=10443",
                      "the shipped manifests, without rights to bind ports below 1024"},
                     {"tollgate run -f /etc/tollgate --probe :9902 --log-folder /var/log/tollgate",
                      "as a service, with a port for probes and a place for access logs"}},
    },
    {
        .word = "check",
        .command = COMMAND_CHECK,
        .summary = "say what is wrong with them, or not as it seems",
        .text = "Reads, links and compiles the manifests as run would and prints what it finds, "
                "with file and line. Nothing is opened or connected. Exit code 0: nothing at or "
                "above --fail-on; 1: something; 2: the command line is wrong.",
        .needs_paths = true,
        .examples = {{"tollgate check -f config/envoy-gateway", "everything, for people"},
                     {"tollgate check -f manifests --fail-on warning --format sarif",
                      "for a pipeline"}},
    },
    {
        .word = "explain",
        .command = COMMAND_EXPLAIN,
        .summary = "what would become of a request, and why",
        .text = "Walks one request through files or, without -f, the running gateway with its "
                "counts: listener, rules, policies, limits, backend. Nothing is sent.",
        .examples =
            {{"tollgate explain -f manifests --request 'POST http://host/v1/models/m:predict'",
              "of files, without a token"},
             {"tollgate explain --request 'GET http://host/' -H 'x-a: b' --token @a.token",
              "of the running gateway, with a header and a token"}},
    },
    {
        .word = "get",
        .command = COMMAND_GET,
        .operands = "KIND [NAME...]",
        .summary = "objects as kubectl shows them",
        .text = "Shows objects, with their status: of files where -f names some, else of the "
                "running gateway. Kinds are called as in kubectl, short and plural too; all, "
                "gateway-api, envoy-gateway and ai-gateway are categories.",
        .operand_hints = "all" KINDS(KIND_WORD),
        .min_operands = 1,
        .max_operands = OPTIONS_OPERANDS_MAX,
        .examples = {{"tollgate get gateway ai-inference-gateway -n envoy-gateway-system",
                      "of the running gateway"},
                     {"tollgate get all -A -o wide -f config/envoy-gateway",
                      "of files, with the place of each object"}},
    },
    {
        .word = "describe",
        .command = COMMAND_DESCRIBE,
        .operands = "KIND [NAME...]",
        .summary = "one in full, with conditions and findings",
        .text = "Shows objects in full, with their conditions as a table and with what check "
                "found in them.",
        .operand_hints = &(KINDS(KIND_WORD))[1],
        .min_operands = 1,
        .max_operands = OPTIONS_OPERANDS_MAX,
        .examples = {{"tollgate describe httproute ai-inference-routes -n envoy-gateway-system",
                      "of the running gateway"}},
    },
    {
        .word = "logs",
        .command = COMMAND_LOGS,
        .summary = "what the running gateway has said of itself",
        .text = "Prints the running gateway's own log, of what it keeps in memory; access logs "
                "are elsewhere.",
        .examples = {{"tollgate logs --tail 20 -f", "the last lines, and those to come"},
                     {"tollgate logs -l app=envoy-gateway -n envoy-gateway-system",
                      "as for kubectl"}},
    },
    {
        .word = "history",
        .command = COMMAND_HISTORY,
        .summary = "the configurations that served",
        .text = "Lists the revisions that run --state-folder has kept, the latest first: when each "
                "began to serve, who owns the file that brought it (or says so in "
                "TOLLGATE_CHANGE_BY and TOLLGATE_CHANGE_REASON at a start), and why.",
        .examples = {{"tollgate history --state-folder /var/lib/tollgate", "all of them"}},
    },
    {
        .word = "diff",
        .command = COMMAND_DIFF,
        .operands = "REVISION [REVISION]",
        .summary = "what changed from one to another",
        .text = "Prints how each object differs between two revisions, or between one and the "
                "latest. A revision is a number, the first digits of an id, latest or previous. "
                "Secrets are not shown; that they differ is.",
        .operand_hints = "previous latest",
        .min_operands = 1,
        .max_operands = 2,
        .examples = {{"tollgate diff previous --state-folder /var/lib/tollgate", "the last change"},
                     {"tollgate diff 12 15 --state-folder /var/lib/tollgate", "of several"}},
    },
    {
        .word = "rollback",
        .command = COMMAND_ROLLBACK,
        .operands = "REVISION",
        .summary = "write an older one back to its files",
        .text = "Writes the files as they were at a revision, and removes those that came since; a "
                "gateway that watches them loads them at once. Refused where the revision would "
                "not serve, or where a file is not what served last. A service's history, which "
                "another user keeps, is trusted below -f alone.",
        .operand_hints = "previous latest",
        .min_operands = 1,
        .max_operands = 1,
        .examples = {{"tollgate rollback previous --dry-run --state-folder /var/lib/tollgate",
                      "what it would write"},
                     {"tollgate rollback 12 --state-folder /var/lib/tollgate", "back to that one"},
                     {"tollgate rollback 12 --state-folder /var/lib/tollgate -f /etc/tollgate",
                      "as root, of a service that is another user's"}},
    },
    {
        .word = "docs",
        .command = COMMAND_DOCS,
        .operands = "NAME",
        .summary = "print a page of the reference",
        .text = "Prints a page of the reference as Markdown, or the manual page, from the tables "
                "that the program runs on.",
        .operand_words = &(DOCS_PAGES(DOCS_WORD))[1],
        .min_operands = 1,
        .max_operands = 1,
        .examples = {{"tollgate docs refusals", "every status that the gateway itself answers"},
                     {"tollgate docs man | man -l -", "the manual page"}},
    },
    {
        .word = "completion",
        .command = COMMAND_COMPLETION,
        .operands = "SHELL",
        .summary = "print the completion of a shell",
        .text = "Prints a script that teaches bash, zsh or fish to complete this program's "
                "commands, options and values.",
        .operand_words = &(COMPLETION_SHELLS(SHELL_WORD))[1],
        .min_operands = 1,
        .max_operands = 1,
        .examples = {{"source <(tollgate completion bash)", "in this shell"},
                     {"tollgate completion zsh > ~/.zfunc/_tollgate", "in a folder of fpath"},
                     {"tollgate completion fish > ~/.config/fish/completions/tollgate.fish",
                      "for good"}},
    },
    {
        .word = "version",
        .command = COMMAND_VERSION,
        .summary = "print the version",
        .text = "Prints the program's name and version.",
        .examples = {{"tollgate version", "also --version"}},
        .aliases = {"--version"},
    },
    {
        .word = "help",
        .command = COMMAND_HELP,
        .operands = "[COMMAND]",
        .summary = "print this, or a command's options and examples",
        .text = "Prints the commands, or what one of them takes, with examples.",
        .max_operands = 1,
        .examples = {{"tollgate help run", "the same as tollgate run --help"}},
        .aliases = {"--help", "-h"},
    },
};
const size_t n_command_rows = N_ELEMENTS(command_rows);

static bool command_is_called(const struct command_row *row, struct str word)
{
    if (str_eq(word, str_of(row->word)))
        return true;
    for (size_t i = 0; i < COMMAND_ALIASES_MAX && row->aliases[i]; i++) {
        if (str_eq(word, str_of(row->aliases[i])))
            return true;
    }
    return false;
}

const struct command_row *command_row_find(struct str word)
{
    for (size_t i = 0; i < n_command_rows; i++) {
        if (command_is_called(&command_rows[i], word))
            return &command_rows[i];
    }
    return NULL;
}

const struct command_row *command_row_get(enum command command)
{
    for (size_t i = 0; i < n_command_rows; i++) {
        if (command_rows[i].command == command)
            return &command_rows[i];
    }
    UNREACHABLE();
}
