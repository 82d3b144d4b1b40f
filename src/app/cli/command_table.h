/* The commands and the options, each once: what parses the command line, and what its help, the
 * manual page and the completion of three shells are printed from. A new command is a value of enum
 * command, a row in command_table.c and a line in main.c; a new option is a row in options.c. A
 * name that means different things to several commands has a row for each. */
#pragma once

#include "app/options.h"

enum { COMMAND_EXAMPLES_MAX = 3, COMMAND_ALIASES_MAX = 2 };

struct command_example {
    const char *line; /* NULL: no further one */
    const char *text; /* what it does, a phrase */
};

struct command_row {
    const char *word;
    enum command command;
    const char *operands; /* for people: "KIND [NAME]"; NULL: none */
    const char *summary;  /* a line of the list of commands */
    const char *text;     /* a paragraph of its own help and of the manual */
    const char
        *operand_words; /* what the first operand may be, with spaces between; NULL: anything */
    const char *operand_hints; /* for the shells: some of what it may be, so too; NULL: none */
    unsigned min_operands;
    unsigned max_operands;
    bool needs_paths; /* -f has to be given */
    struct command_example examples[COMMAND_EXAMPLES_MAX];
    const char *aliases[COMMAND_ALIASES_MAX];
};

/* For the shells. A word: one of those that `argument` has between bars. */
enum option_takes { OPTION_TAKES_NOTHING, OPTION_TAKES_TEXT, OPTION_TAKES_WORD, OPTION_TAKES_PATH };

/* False: the value is not what it takes. */
typedef bool option_fn(struct options *o, struct str value);

struct option_row {
    const char *name;
    const char *alias; /* "--namespace" of "-n"; NULL: none */
    unsigned commands; /* 1 << enum command */
    option_fn *read;
    const char *argument; /* "FROM=TO"; NULL: a switch, without a value */
    const char *expected; /* for errors: "FROM=TO, two ports" */
    const char *text;
    const char *value; /* read where it is not given; NULL: nothing is */
    enum option_takes takes;
};

extern const struct command_row command_rows[];
extern const size_t n_command_rows;
extern const struct option_row option_rows[];
extern const size_t n_option_rows;

/* By word or alias. */
const struct command_row *command_row_find(struct str word);
const struct command_row *command_row_get(enum command command);
static inline bool option_is_for(const struct option_row *row, enum command command)
{
    return (row->commands & 1U << command) != 0;
}
