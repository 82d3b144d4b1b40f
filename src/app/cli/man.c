/* See man.h. mdoc(7), clean to mandoc -Tlint: a sentence begins a line, no line is longer than 80
 * bytes, and what the tables say cannot be taken for a macro. Pure. */
#include "app/cli/man.h"

#include "app/cli/command_table.h"

enum { MAN_WIDTH = 76 };

/* When the words below were last changed. */
#define MAN_DATE "November 27, 2026"

struct man_row {
    const char *name;
    const char *text;
};

static const struct man_row man_signals[] = {
    {"SIGTERM",
     "run drains: it is not ready any more, accepts for --drain-delay, then lets running "
     "requests finish within --drain-timeout. A second signal ends it at once."},
    {"SIGINT", "The same without the delay."},
    {"SIGHUP", "Loads the manifests anew. With faults in them what served goes on."},
    {"SIGUSR1", "Opens the files of access logs anew, after a rotation."},
};

static const struct man_row man_environment[] = {
    {"NOTIFY_SOCKET",
     "The socket of a service manager (systemd) that run tells when it is ready, loads anew and "
     "ends. Below a parent (--supervisor) the unit wants NotifyAccess=all."},
    {"TOLLGATE_CHANGE_BY",
     "Who brought the configuration that run starts with, for the history (--state-folder); else "
     "the owner of the file that changed last. Of later ones that owner alone is known."},
    {"TOLLGATE_CHANGE_REASON", "Why, so too."},
    {"NO_COLOR", "Where it is set and not empty, check prints no colour on a terminal either."},
};

static const struct man_row man_exit[] = {
    {"0", "Done: check found nothing, run has drained, explain has explained a request, be it "
          "refused."},
    {"1", "check found something at or above --fail-on; run could not start; no gateway answers, "
          "or what was asked for is not there; rollback has refused."},
    {"2", "The command line is wrong."},
};

static void man_word(struct buf *out, struct str word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\\')
            buf_printf(out, "\\e");
        else if (word.ptr[i] == '-')
            buf_printf(out, "\\-");
        else
            buf_append_char(out, word.ptr[i]);
    }
}

/* Running text: a sentence begins a line. */
static void man_text(struct buf *out, const char *text)
{
    struct str rest = str_of(text);
    bool ends_sentence = false;
    size_t column = 0;
    struct str word;

    while (str_split(&rest, ' ', &word)) {
        bool breaks = column > 0 && (ends_sentence || column + 1 + word.len > MAN_WIDTH);

        if (column > 0)
            buf_append_char(out, (char)(breaks ? '\n' : ' '));
        if (breaks)
            column = 0;
        if (column == 0 && (word.ptr[0] == '.' || word.ptr[0] == '\''))
            buf_printf(out, "\\&");
        man_word(out, word);
        column += word.len + 1;
        ends_sentence = str_ends_with(word, STR("."));
    }
    buf_append_char(out, '\n');
}

/* Arguments of a macro, none of which it may take for another macro. */
static void man_arguments(struct buf *out, const char *text)
{
    struct str rest = str_of(text);
    struct str word;

    while (str_split(&rest, ' ', &word)) {
        buf_printf(out, " \\&");
        man_word(out, word);
    }
}

static void man_rows(struct buf *out, const char *macro, const struct man_row *rows, size_t n)
{
    buf_printf(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, ".It %s%s\n", macro, rows[i].name);
        man_text(out, rows[i].text);
    }
    buf_printf(out, ".El\n");
}

/* ---- commands ---- */

static void man_command_line(struct buf *out, const struct command_row *row)
{
    buf_printf(out, "Cm %s", row->word);
    if (row->operands) {
        buf_printf(out, " Ar");
        man_arguments(out, row->operands);
    }
    if (row->needs_paths)
        buf_printf(out, " Fl f Ar \\&PATH...");
    buf_append_char(out, '\n');
}

static void man_option(struct buf *out, const struct option_row *row)
{
    buf_printf(out, ".It Fl ");
    man_word(out, str_of(row->name + 1));
    if (row->alias) {
        buf_printf(out, " , Fl ");
        man_word(out, str_of(row->alias + 1));
    }
    if (row->argument) {
        buf_printf(out, " Ar");
        man_arguments(out, row->argument);
    }
    buf_append_char(out, '\n');
    man_text(out, row->text);
    if (row->value)
        buf_printf(out, "(default:\n.Ar \\&%s )\n", row->value);
}

static void man_command(struct buf *out, const struct command_row *row)
{
    size_t n = 0;

    buf_printf(out, ".Ss tollgate %s\n", row->word);
    man_text(out, row->text);
    if (row->operand_words) {
        buf_printf(out, ".Pp\n");
        man_text(out, "One of:");
        man_text(out, row->operand_words);
    }
    for (size_t i = 0; i < n_option_rows; i++) {
        if (!option_is_for(&option_rows[i], row->command))
            continue;
        if (n++ == 0)
            buf_printf(out, ".Bl -tag -width Ds\n");
        man_option(out, &option_rows[i]);
    }
    if (n > 0)
        buf_printf(out, ".El\n");
}

static void man_examples(struct buf *out, const struct command_row *row)
{
    for (size_t i = 0; i < COMMAND_EXAMPLES_MAX && row->examples[i].line; i++) {
        struct str rest = str_of(row->examples[i].line);

        buf_printf(out, ".Pp\n");
        man_text(out, row->examples[i].text);
        buf_printf(out, ".Dl ");
        man_word(out, rest);
        buf_append_char(out, '\n');
    }
}

void man_format(struct buf *out)
{
    buf_printf(out, ".\\\" Printed by: tollgate docs man\n"
                    ".Dd " MAN_DATE "\n.Dt TOLLGATE 1\n.Os\n.Sh NAME\n.Nm tollgate\n"
                    ".Nd AI inference gateway for Gateway API manifests\n.Sh SYNOPSIS\n");
    for (size_t i = 0; i < n_command_rows; i++) {
        buf_printf(out, ".Nm\n.");
        man_command_line(out, &command_rows[i]);
    }
    buf_printf(out, ".Sh DESCRIPTION\n.Nm\n");
    man_text(out, "reads the Kubernetes manifests of the Gateway API, Envoy Gateway and Envoy AI "
                  "Gateway and serves them by itself, without a cluster, a controller or a "
                  "sidecar. Clients with a token call models; the gateway knows who they are, "
                  "which model they may use, and where it is.");
    buf_printf(out, ".Pp\n");
    man_text(out, "The commands and their options:");
    for (size_t i = 0; i < n_command_rows; i++)
        man_command(out, &command_rows[i]);
    buf_printf(out, ".Sh SIGNALS\n");
    man_rows(out, "Dv ", man_signals, N_ELEMENTS(man_signals));
    buf_printf(out, ".Sh ENVIRONMENT\n");
    man_rows(out, "Ev ", man_environment, N_ELEMENTS(man_environment));
    buf_printf(out, ".Sh EXIT STATUS\n");
    man_rows(out, "", man_exit, N_ELEMENTS(man_exit));
    buf_printf(out, ".Sh EXAMPLES\nThe same that\n.Fl \\-help\nprints.\n");
    for (size_t i = 0; i < n_command_rows; i++)
        man_examples(out, &command_rows[i]);
    buf_printf(out, ".Sh SEE ALSO\n");
    man_text(out, "The documentation that comes with the program: its tour, the reference of "
                  "fields, metrics, refusals and limits, and the differences from the reference "
                  "implementations of its APIs.");
}
