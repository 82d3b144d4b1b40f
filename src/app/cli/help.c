/* See help.h. Pure: text from the tables of command_table.h into a buffer. */
#include "app/cli/help.h"

#include "app/cli/command_table.h"

enum { HELP_COMMAND_COLUMN = 26, HELP_OPTION_COLUMN = 30 };

static void help_pad(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_append_char(out, ' ');
}

void help_wrap(struct buf *out, struct str text, size_t column, size_t indent)
{
    bool is_first = true;
    struct str word;

    while (str_split(&text, ' ', &word)) {
        if (!is_first && column + 1 + word.len > HELP_WIDTH) {
            buf_append_char(out, '\n');
            help_pad(out, indent);
            column = indent;
        } else if (!is_first) {
            buf_append_char(out, ' ');
            column++;
        }
        buf_append_str(out, word);
        column += word.len;
        is_first = false;
    }
    buf_append_char(out, '\n');
}

/* A name, and its text in a column beside it, or below where it is too long. */
static void help_row(struct buf *out, struct str name, struct str text, size_t column)
{
    size_t at = 2 + name.len;

    help_pad(out, 2);
    buf_append_str(out, name);
    if (at + 1 > column) {
        buf_append_char(out, '\n');
        at = 0;
    }
    help_pad(out, column - at);
    help_wrap(out, text, column, column);
}

void help_format_operands(struct buf *out, const struct command_row *row)
{
    if (row->operands)
        buf_printf(out, " %s", row->operands);
    if (row->needs_paths)
        buf_printf(out, " -f PATH...");
}

/* ---- everything ---- */

static void help_list_commands(struct buf *out)
{
    struct buf name = {0};

    for (size_t i = 0; i < n_command_rows; i++) {
        buf_clear(&name);
        buf_printf(&name, "%s", command_rows[i].word);
        help_format_operands(&name, &command_rows[i]);
        help_row(out, buf_str(&name), str_of(command_rows[i].summary), HELP_COMMAND_COLUMN);
    }
    buf_deinit(&name);
}

static void help_format_all(struct buf *out)
{
    buf_printf(out, "tollgate: AI inference gateway for Gateway API manifests\n\n"
                    "usage: tollgate COMMAND [OPTION...]\n\n");
    help_list_commands(out);
    buf_printf(out,
               "\nexamples:\n"
               "  tollgate check -f config/envoy-gateway\n"
               "  tollgate run -f config/envoy-gateway --port-map 80=8080 --port-map 443=8443\n"
               "\ntollgate COMMAND --help has its options and examples.\n");
}

/* ---- one command ---- */

static void help_option(struct buf *out, const struct option_row *row)
{
    struct buf name = {0};
    struct buf text = {0};

    buf_printf(&name, "%s%s%s%s%s", row->name, row->alias ? ", " : "", row->alias ? row->alias : "",
               row->argument ? " " : "", row->argument ? row->argument : "");
    buf_printf(&text, "%s", row->text);
    if (row->value)
        buf_printf(&text, " (%s)", row->value);
    help_row(out, buf_str(&name), buf_str(&text), HELP_OPTION_COLUMN);
    buf_deinit(&name);
    buf_deinit(&text);
}

static void help_examples(struct buf *out, const struct command_row *row)
{
    buf_printf(out, "\nexamples:\n");
    for (size_t i = 0; i < COMMAND_EXAMPLES_MAX && row->examples[i].line; i++)
        buf_printf(out, "  # %s\n  %s\n", row->examples[i].text, row->examples[i].line);
}

static bool help_has_options(enum command command)
{
    for (size_t i = 0; i < n_option_rows; i++) {
        if (option_is_for(&option_rows[i], command))
            return true;
    }
    return false;
}

static void help_format_command(struct buf *out, const struct command_row *row)
{
    bool has_options = help_has_options(row->command);

    buf_printf(out, "usage: tollgate %s", row->word);
    help_format_operands(out, row);
    buf_printf(out, "%s\n\n", has_options ? " [OPTION...]" : "");
    help_wrap(out, str_of(row->text), 0, 0);
    if (row->operand_words) {
        buf_printf(out, "\n%s: ", row->operands);
        help_wrap(out, str_of(row->operand_words), strlen(row->operands) + 2, 2);
    }
    if (has_options)
        buf_append_char(out, '\n');
    for (size_t i = 0; i < n_option_rows; i++) {
        if (option_is_for(&option_rows[i], row->command))
            help_option(out, &option_rows[i]);
    }
    help_examples(out, row);
}

void help_format(struct buf *out, enum command about)
{
    if (about == COMMAND_HELP)
        help_format_all(out);
    else
        help_format_command(out, command_row_get(about));
}
