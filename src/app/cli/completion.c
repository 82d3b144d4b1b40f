/* See completion.h. Each shell has its own quoting; what the tables say is written for people, so
 * that everything that goes into quotes passes an escape. Pure. */
#include "app/cli/completion.h"

#include "app/cli/command_table.h"

/* Inside single quotes, where a quote is '\'' to sh, bash and zsh. `special` are characters that
 * the command which reads the word wants behind a backslash. */
static void completion_quote(struct buf *out, const char *text, const char *special)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            buf_printf(out, "'\\''");
            continue;
        }
        if (strchr(special, *c))
            buf_append_char(out, '\\');
        buf_append_char(out, *c);
    }
}

/* What may stand behind a command, with spaces between; false: nothing in particular. */
static bool completion_operands(struct buf *out, const struct command_row *row)
{
    const char *words = row->operand_words ? row->operand_words : row->operand_hints;

    if (words)
        buf_printf(out, "%s", words);
    for (size_t i = 0; row->command == COMMAND_HELP && i < n_command_rows; i++)
        buf_printf(out, "%s%s", i > 0 ? " " : "", command_rows[i].word);
    return words || row->command == COMMAND_HELP;
}

/* "text|json" as "text json". */
static void completion_values(struct buf *out, const struct option_row *row)
{
    for (const char *c = row->argument; *c; c++)
        buf_append_char(out, (char)(*c == '|' ? ' ' : *c));
}

/* "-f a b": further paths may follow. */
static bool option_takes_paths(const struct option_row *row)
{
    return row->takes == OPTION_TAKES_PATH && strcmp(row->name, "-f") == 0;
}

/* ---- bash ---- */

/* Of one command: a name may mean something else to another. */
static void bash_option_values(struct buf *out, const struct command_row *command,
                               const struct option_row *row)
{
    buf_printf(out, "    '%s %s'", command->word, row->name);
    if (row->alias)
        buf_printf(out, " | '%s %s'", command->word, row->alias);
    buf_printf(out, ")\n");
    if (row->takes == OPTION_TAKES_WORD) {
        buf_printf(out, "        mapfile -t COMPREPLY < <(compgen -W '");
        completion_values(out, row);
        buf_printf(out, "' -- \"$current\")\n");
    } else if (row->takes == OPTION_TAKES_PATH) {
        buf_printf(out, "        _tollgate_paths\n");
    }
    buf_printf(out, "        return\n        ;;\n");
}

static void bash_values(struct buf *out, const struct command_row *command)
{
    for (size_t i = 0; i < n_option_rows; i++) {
        if (option_rows[i].argument && option_is_for(&option_rows[i], command->command))
            bash_option_values(out, command, &option_rows[i]);
    }
}

static void bash_command(struct buf *out, const struct command_row *row)
{
    bool has_paths = false;

    buf_printf(out, "    %s)\n        options='--help", row->word);
    for (size_t i = 0; i < n_option_rows; i++) {
        if (!option_is_for(&option_rows[i], row->command))
            continue;
        buf_printf(out, " %s", option_rows[i].name);
        if (option_rows[i].alias)
            buf_printf(out, " %s", option_rows[i].alias);
        has_paths |= option_takes_paths(&option_rows[i]);
    }
    buf_printf(out, "'\n        operands='");
    completion_operands(out, row);
    buf_printf(out, "'\n");
    if (has_paths)
        buf_printf(out, "        takes_paths=yes\n");
    buf_printf(out, "        ;;\n");
}

static void completion_bash(struct buf *out)
{
    buf_printf(out, "# Completion of tollgate for bash: source <(tollgate completion bash)\n"
                    "_tollgate_paths() {\n"
                    "    compopt -o filenames 2>/dev/null || true\n"
                    "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                    "}\n"
                    "_tollgate() {\n"
                    "    local current=${COMP_WORDS[COMP_CWORD]} options='' operands='' i\n"
                    "    local before=${COMP_WORDS[COMP_CWORD - 1]} has_path='' takes_paths=''\n"
                    "    COMPREPLY=()\n"
                    "    # --name=value comes as three words\n"
                    "    if [[ $current == '=' ]]; then\n"
                    "        current=''\n"
                    "    elif [[ $before == '=' && $COMP_CWORD -gt 2 ]]; then\n"
                    "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
                    "    fi\n"
                    "    if [[ $COMP_CWORD -eq 1 ]]; then\n"
                    "        mapfile -t COMPREPLY < <(compgen -W '--help --version");
    for (size_t i = 0; i < n_command_rows; i++)
        buf_printf(out, " %s", command_rows[i].word);
    buf_printf(
        out,
        "' -- \"$current\")\n        return\n    fi\n    case \"${COMP_WORDS[1]} $before\" in\n");
    for (size_t i = 0; i < n_command_rows; i++)
        bash_values(out, &command_rows[i]);
    buf_printf(out, "    esac\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < n_command_rows; i++)
        bash_command(out, &command_rows[i]);
    buf_printf(out, "    esac\n"
                    "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
                    "        [[ ${COMP_WORDS[i]} == -f && -n $takes_paths ]] && has_path=yes\n"
                    "    done\n"
                    "    if [[ $current == -* ]]; then\n"
                    "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
                    "    elif [[ -n $has_path ]]; then # -f a b\n"
                    "        _tollgate_paths\n"
                    "    elif [[ $COMP_CWORD -eq 2 && -n $operands ]]; then\n"
                    "        mapfile -t COMPREPLY < <(compgen -W \"$operands\" -- \"$current\")\n"
                    "    else\n"
                    "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
                    "    fi\n"
                    "}\n"
                    "complete -F _tollgate tollgate\n");
}

/* ---- zsh ---- */

/* One of the names of an option: each is a line of its own. */
static void zsh_name(struct buf *out, const struct option_row *row, const char *name)
{
    bool is_long = name[1] == '-';

    buf_printf(out, " \\\n            '*%s%s[", name, !row->argument ? "" : is_long ? "=" : "+");
    completion_quote(out, row->text, "[]:\\");
    buf_append_char(out, ']');
    if (row->argument) {
        buf_append_char(out, ':');
        completion_quote(out, row->argument, ":\\");
        buf_append_char(out, ':');
    }
    if (row->takes == OPTION_TAKES_WORD) {
        buf_append_char(out, '(');
        completion_values(out, row);
        buf_append_char(out, ')');
    } else if (row->takes == OPTION_TAKES_PATH) {
        buf_printf(out, "_files");
    }
    buf_append_char(out, '\'');
}

static void zsh_option(struct buf *out, const struct option_row *row)
{
    zsh_name(out, row, row->name);
    if (row->alias)
        zsh_name(out, row, row->alias);
}

static void zsh_command(struct buf *out, const struct command_row *row)
{
    struct buf words = {0};

    buf_printf(out, "    %s)\n        _arguments", row->word);
    for (size_t i = 0; i < n_option_rows; i++) {
        if (option_is_for(&option_rows[i], row->command))
            zsh_option(out, &option_rows[i]);
    }
    buf_printf(out, " \\\n            '--help[options and examples]'");
    if (completion_operands(&words, row))
        buf_printf(out, " \\\n            '1: :(%.*s)'", STR_ARG(buf_str(&words)));
    if (row->needs_paths)
        buf_printf(out, " \\\n            '*:PATH:_files'");
    buf_printf(out, "\n        ;;\n");
    buf_deinit(&words);
}

static void completion_zsh(struct buf *out)
{
    buf_printf(out, "#compdef tollgate\n"
                    "# Completion of tollgate for zsh: a file _tollgate in a folder of fpath.\n"
                    "_tollgate() {\n"
                    "    local -a commands=(");
    for (size_t i = 0; i < n_command_rows; i++) {
        buf_printf(out, "\n        '%s:", command_rows[i].word);
        completion_quote(out, command_rows[i].summary, ":\\");
        buf_append_char(out, '\'');
    }
    buf_printf(out, "\n    )\n"
                    "    if ((CURRENT == 2)); then\n"
                    "        _describe command commands\n"
                    "        return\n"
                    "    fi\n"
                    "    shift words\n"
                    "    ((CURRENT--))\n"
                    "    case $words[1] in\n");
    for (size_t i = 0; i < n_command_rows; i++)
        zsh_command(out, &command_rows[i]);
    buf_printf(out, "    esac\n"
                    "}\n"
                    "if [[ $funcstack[1] == _tollgate ]]; then\n"
                    "    _tollgate \"$@\"\n"
                    "else\n"
                    "    compdef _tollgate tollgate\n"
                    "fi\n");
}

/* ---- fish: quotes are \' there ---- */

static void fish_quote(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++)
        buf_printf(out, *c == '\'' || *c == '\\' ? "\\%c" : "%c", *c);
}

static void fish_name(struct buf *out, const char *name)
{
    bool is_long = name[1] == '-';

    buf_printf(out, " -%c %s", is_long ? 'l' : 's', name + (is_long ? 2 : 1));
}

static void fish_option(struct buf *out, const struct command_row *command,
                        const struct option_row *row)
{
    buf_printf(out, "complete -c tollgate -n '__tollgate_command %s'", command->word);
    fish_name(out, row->name);
    if (row->alias)
        fish_name(out, row->alias);
    if (row->takes == OPTION_TAKES_PATH)
        buf_printf(out, " -r -F");
    else if (row->argument)
        buf_printf(out, " -x");
    if (row->takes == OPTION_TAKES_WORD) {
        buf_printf(out, " -a '");
        completion_values(out, row);
        buf_append_char(out, '\'');
    }
    buf_printf(out, " -d '");
    fish_quote(out, row->text);
    buf_printf(out, "'\n");
}

static void fish_command(struct buf *out, const struct command_row *row)
{
    struct buf words = {0};

    buf_printf(out, "complete -c tollgate -n __fish_use_subcommand -a %s -d '", row->word);
    fish_quote(out, row->summary);
    buf_printf(out, "'\n");
    if (completion_operands(&words, row))
        buf_printf(out, "complete -c tollgate -n '__tollgate_command %s' -a '%.*s'\n", row->word,
                   STR_ARG(buf_str(&words)));
    for (size_t i = 0; i < n_option_rows; i++) {
        if (!option_is_for(&option_rows[i], row->command))
            continue;
        fish_option(out, row, &option_rows[i]);
        if (option_takes_paths(&option_rows[i]))
            buf_printf(out, "complete -c tollgate -n '__tollgate_has_path %s' -F\n", row->word);
    }
    buf_deinit(&words);
}

static void completion_fish(struct buf *out)
{
    buf_printf(out, "# Completion of tollgate for fish.\n"
                    "function __tollgate_command\n"
                    "    set -l words (commandline -opc)\n"
                    "    test (count $words) -gt 1; and test $words[2] = $argv[1]\n"
                    "end\n"
                    "function __tollgate_has_path\n"
                    "    __tollgate_command $argv[1]; and contains -- -f (commandline -opc)\n"
                    "end\n"
                    "complete -c tollgate -f\n"
                    "complete -c tollgate -l help -d 'options and examples'\n");
    for (size_t i = 0; i < n_command_rows; i++)
        fish_command(out, &command_rows[i]);
}

int completion_format(struct buf *out, const char *shell)
{
#define X(name)                                                                                    \
    if (strcmp(shell, #name) == 0) {                                                               \
        completion_##name(out);                                                                    \
        return 0;                                                                                  \
    }
    COMPLETION_SHELLS(X)
#undef X
    return COMPLETION_UNKNOWN;
}
