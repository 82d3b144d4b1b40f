/* Help, manual and completion: every row of the tables is there, and the screen is not left. The
 * scripts themselves are run by their shells in test/e2e/test_cli.py. */
#include "app/cli/command_table.h"
#include "app/cli/completion.h"
#include "app/cli/help.h"
#include "app/cli/man.h"
#include "test/harness/test.h"

enum { SCREEN_LINES = 24, LONG_HELP_LINES = 40 };

static void measure(const struct buf *text, size_t *ret_lines, size_t *ret_width)
{
    struct str rest = buf_str(text);
    struct str line;

    *ret_lines = *ret_width = 0;
    while (str_split(&rest, '\n', &line)) {
        *ret_lines += rest.ptr || line.len > 0;
        *ret_width = line.len > *ret_width ? line.len : *ret_width;
    }
}

TEST(the_help_fits_a_screen_and_names_every_command)
{
    struct buf help = {0};
    size_t n_lines, width;

    help_format(&help, COMMAND_HELP);
    measure(&help, &n_lines, &width);
    CHECK_MSG(n_lines <= SCREEN_LINES && width <= HELP_WIDTH, "%zu lines of %zu", n_lines, width);
    for (size_t i = 0; i < n_command_rows; i++) {
        CHECK_MSG(str_find(buf_str(&help), str_of(command_rows[i].summary)) >= 0 ||
                      strlen(command_rows[i].summary) > 54,
                  "%s", command_rows[i].word);
    }
    CHECK(str_find(buf_str(&help), STR("examples:")) > 0);
    buf_deinit(&help);
}

static bool command_takes(const struct command_row *row, const struct option_row *option)
{
    return (option->commands & 1U << row->command) != 0;
}

/* In the column of names, whole: two meanings of one name differ in the rest. */
static bool help_has(const struct buf *help, const struct option_row *row)
{
    static const char ends[] = " \n";
    bool is_there = false;

    for (size_t i = 0; !is_there && ends[i]; i++) {
        struct buf line = {0};

        buf_printf(&line, "\n  %s%s%s%s%s%c", row->name, row->alias ? ", " : "",
                   row->alias ? row->alias : "", row->argument ? " " : "",
                   row->argument ? row->argument : "", ends[i]);
        is_there = str_find(buf_str(help), buf_str(&line)) >= 0;
        buf_deinit(&line);
    }
    return is_there;
}

TEST(every_commands_help_has_its_options_and_examples)
{
    struct buf help = {0};
    size_t n_lines, width;

    for (size_t i = 0; i < n_command_rows; i++) {
        const struct command_row *row = &command_rows[i];

        if (row->command == COMMAND_HELP)
            continue;
        buf_clear(&help);
        help_format(&help, row->command);
        measure(&help, &n_lines, &width);
        CHECK_MSG(width <= HELP_WIDTH, "%s: %zu", row->word, width);
        CHECK_MSG(n_lines <= (row->command == COMMAND_RUN ? LONG_HELP_LINES : SCREEN_LINES),
                  "%s: %zu lines", row->word, n_lines);
        CHECK_MSG(row->examples[0].line && str_find(buf_str(&help), STR("examples:\n")) > 0, "%s",
                  row->word);
        for (size_t k = 0; k < n_option_rows; k++) {
            const struct option_row *option = &option_rows[k];

            if (command_takes(row, option))
                CHECK_MSG(help_has(&help, option), "%s %s", row->word, option->name);
            else
                CHECK_MSG(!help_has(&help, option), "%s %s", row->word, option->name);
        }
    }
    buf_deinit(&help);
}

TEST(no_row_stands_twice_and_each_says_what_it_is)
{
    for (size_t i = 0; i < n_option_rows; i++) {
        const struct option_row *row = &option_rows[i];

        CHECK_MSG(row->commands && row->text && row->read, "%s", row->name);
        CHECK_MSG((row->argument != NULL) == (row->expected != NULL) &&
                      (row->argument != NULL) == (row->takes != OPTION_TAKES_NOTHING),
                  "%s", row->name);
        /* One name may mean different things, but not to one command. */
        for (size_t k = 0; k < i; k++)
            CHECK_MSG(strcmp(row->name, option_rows[k].name) != 0 ||
                          !(row->commands & option_rows[k].commands),
                      "%s", row->name);
    }
    for (size_t i = 0; i < n_command_rows; i++)
        CHECK(command_row_find(str_of(command_rows[i].word)) == &command_rows[i]);
    CHECK(command_row_find(STR("-h")) == command_row_find(STR("help")));
    CHECK(!command_row_find(STR("")));
}

TEST(words_of_options_are_read)
{
    static struct options o;

    for (size_t i = 0; i < n_option_rows; i++) {
        struct str rest = str_of(option_rows[i].argument), word;

        while (option_rows[i].takes == OPTION_TAKES_WORD && str_split(&rest, '|', &word))
            CHECK_MSG(option_rows[i].read(&o, word), "%s %.*s", option_rows[i].name, STR_ARG(word));
    }
}

static bool has(const struct buf *text, const char *format, const char *word)
{
    struct buf line = {0};
    bool is_there;

    buf_printf(&line, "%s%s", format, word);
    is_there = str_find(buf_str(text), buf_str(&line)) >= 0;
    buf_deinit(&line);
    return is_there;
}

TEST(the_manual_has_every_command_and_option)
{
    struct buf man = {0};
    struct buf name = {0};

    man_format(&man);
    for (size_t i = 0; i < n_command_rows; i++)
        CHECK_MSG(has(&man, ".Ss tollgate ", command_rows[i].word), "%s", command_rows[i].word);
    for (size_t i = 0; i < n_option_rows; i++) {
        buf_clear(&name);
        for (const char *c = option_rows[i].name + 1; *c; c++)
            buf_printf(&name, *c == '-' ? "\\-" : "%c", *c);
        buf_append_char(&name, '\0');
        CHECK_MSG(has(&man, ".It Fl ", name.ptr), "%s", option_rows[i].name);
    }
    buf_deinit(&name);
    buf_deinit(&man);
}

TEST(every_shell_knows_every_option)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};

    for (size_t i = 0; i < N_ELEMENTS(shells); i++) {
        struct buf script = {0};

        CHECK_INT(completion_format(&script, shells[i]), 0);
        for (size_t k = 0; k < n_option_rows; k++)
            CHECK_MSG(has(&script, i == 2 ? " " : "", option_rows[k].name + (i == 2 ? 2 : 0)) ||
                          (i == 2 && has(&script, "-s ", option_rows[k].name + 1)),
                      "%s %s", shells[i], option_rows[k].name);
        buf_deinit(&script);
    }
    CHECK_INT(completion_format(&(struct buf){0}, "csh"), COMPLETION_UNKNOWN);
}
