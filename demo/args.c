/* Reads --name=VALUE options by a table that also is the usage text.
 *
 * Thread: main, before anything else. Values point into argv. */
#include "demo/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_usage(FILE *out, const char *program, const struct arg *args)
{
    (void)fprintf(out, "usage: %s [--option=VALUE]...\n", program);
    for (; args->name; args++)
        (void)fprintf(out, "  --%-10s %s%s%s%s\n", args->name, args->help, *args->value ? " [" : "",
                      *args->value ? *args->value : "", *args->value ? "]" : "");
}

static const struct arg *find_arg(const struct arg *args, const char *text)
{
    size_t len = strcspn(text, "=");

    for (; args->name; args++) {
        if (strlen(args->name) == len && strncmp(args->name, text, len) == 0 && text[len] == '=')
            return args;
    }
    return NULL;
}

void args_parse(int argc, char **argv, const struct arg *args)
{
    for (int i = 1; i < argc; i++) {
        const struct arg *arg = strncmp(argv[i], "--", 2) == 0 ? find_arg(args, argv[i] + 2) : NULL;

        if (strcmp(argv[i], "--help") == 0) {
            print_usage(stdout, argv[0], args);
            exit(0);
        }
        if (!arg) {
            (void)fprintf(stderr, "%s: unknown option \"%s\"\n", argv[0], argv[i]);
            print_usage(stderr, argv[0], args);
            exit(2);
        }
        *arg->value = strchr(argv[i], '=') + 1;
    }
}
