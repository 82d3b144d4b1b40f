/* Options of the demo's services: --name=VALUE only. */
#pragma once

struct arg {
    const char *name;   /* without the dashes */
    const char **value; /* holds the default before */
    const char *help;
};

/* Fills the values; the last row has no name. Prints usage and ends the process for --help (0) and
 * for anything unknown (2). */
void args_parse(int argc, char **argv, const struct arg *args);
