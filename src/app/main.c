/* The program: parses the command line and hands over. Signals are blocked before any thread
 * exists, so that only control's signalfd sees them. */
#include <stdio.h>

#include "app/cli/command_table.h"
#include "app/cli/completion.h"
#include "app/cli/help.h"
#include "app/commands.h"
#include "net/signals.h"

static int main_print(const struct options *o)
{
    struct buf out = {0};
    int code = 0;

    if (o->command == COMMAND_COMPLETION)
        code = completion_format(&out, o->operands[0]) == 0 ? 0 : 2;
    else
        help_format(&out, o->help_about);
    if (code != 0)
        fprintf(stderr,
                "tollgate: no completion for %s, but for: %s\nSee tollgate completion --help.\n",
                o->operands[0], command_row_get(o->command)->operand_words);
    if (out.len > 0)
        fwrite(out.ptr, 1, out.len, stdout);
    buf_deinit(&out);
    return code;
}

static int main_refuse(const struct options *o, struct buf *why)
{
    fprintf(stderr, "tollgate: %.*s\nSee tollgate %s%s--help.\n", STR_ARG(buf_str(why)),
            o->command == COMMAND_HELP ? "" : command_row_get(o->command)->word,
            o->command == COMMAND_HELP ? "" : " ");
    buf_deinit(why);
    return 2;
}

int main(int argc, char **argv)
{
    static struct options options;
    struct buf why = {0};

    if (options_parse(argc, argv, &options, &why) != 0)
        return main_refuse(&options, &why);
    switch (options.command) {
    case COMMAND_RUN:
        signals_block();
        return command_run(&options, argv);
    case COMMAND_CHECK:
        return command_check(&options);
    case COMMAND_GET:
        return command_get(&options);
    case COMMAND_DESCRIBE:
        return command_describe(&options);
    case COMMAND_LOGS:
        return command_logs(&options);
    case COMMAND_HISTORY:
        return command_history(&options);
    case COMMAND_DIFF:
        return command_diff(&options);
    case COMMAND_ROLLBACK:
        return command_rollback(&options);
    case COMMAND_EXPLAIN:
        return command_explain(&options);
    case COMMAND_DOCS:
        return command_docs(options.operands[0]);
    case COMMAND_VERSION:
        printf("tollgate %s\n", TOLLGATE_VERSION);
        return 0;
    case COMMAND_HELP:
    case COMMAND_COMPLETION:
        return main_print(&options);
    }
    return 2;
}
