/* What --help prints: everything at a glance (24 lines of 80 columns at most), or one command with
 * its options and examples. */
#pragma once

#include "app/options.h"

enum { HELP_WIDTH = 80 };

/* `about` COMMAND_HELP: everything. */
void help_format(struct buf *out, enum command about);
/* Words of `text` from `column` on, further lines indented by `indent`, none wider than HELP_WIDTH
 * unless a single word is. Ends the line. */
void help_wrap(struct buf *out, struct str text, size_t column, size_t indent);
/* "-f PATH... NAME": what stands behind a command's word. */
struct command_row;
void help_format_operands(struct buf *out, const struct command_row *row);
