/* Ends the process when the program contradicts itself: continuing would put traffic at risk. The
 * message goes straight to stderr with write(2), since nothing else can be trusted any more. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void assert_fail(const char *kind, const char *expr, const char *file, int line)
{
    char text[512];
    int len =
        snprintf(text, sizeof text, "tollgate: %s failed: %s (%s:%d)\n", kind, expr, file, line);

    if (len > 0) {
        size_t n = MIN((size_t)len, sizeof text - 1);
        ssize_t unused UNUSED = write(STDERR_FILENO, text, n);
    }
    abort();
}
