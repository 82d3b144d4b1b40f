/* The program: parses the command line and hands over. Signals are blocked before any thread
 * exists, so that only control's signalfd sees them. */
#include <stdio.h>

#include "app/commands.h"
#include "net/signals.h"

int main(int argc, char **argv)
{
    static struct options options;
    struct buf why = {0};
    int r = options_parse(argc, argv, &options, &why);

    if (r != 0) {
        fprintf(stderr, "tollgate: %.*s\nTry tollgate --help.\n", STR_ARG(buf_str(&why)));
        buf_deinit(&why);
        return 2;
    }
    switch (options.command) {
    case COMMAND_RUN:
        signals_block();
        return command_run(&options, argv);
    case COMMAND_CHECK:
        return command_check(&options);
    case COMMAND_EXPLAIN:
        return command_explain(&options);
    case COMMAND_DOCS:
        return command_docs(options.docs_name);
    case COMMAND_VERSION:
        printf("tollgate %s\n", TOLLGATE_VERSION);
        return 0;
    case COMMAND_HELP:
        fputs(options_help, stdout);
        return 0;
    }
    return 2;
}
