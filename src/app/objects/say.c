/* See say.h. */
#include "app/objects/say.h"

#include <stdio.h>

#include "app/objects/text.h"

static void say(const char *prefix, const char *format, va_list args)
{
    struct buf raw = {0};
    struct buf line = {0};

    buf_vprintf(&raw, format, args);
    buf_printf(&line, "%s", prefix);
    text_append_safe(&line, buf_str(&raw));
    buf_append_char(&line, '\n');
    fwrite(line.ptr, 1, line.len, stderr);
    buf_deinit(&raw);
    buf_deinit(&line);
}

void say_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("tollgate: ", format, args);
    va_end(args);
}

void say_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("", format, args);
    va_end(args);
}
