/* tollgate check: read, decode, link, check and compile, and say what was found. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/dry_compile.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "gateway/advice/advice.h"

/* On a terminal, unless its user wants none (no-color.org: set and not empty). */
static bool check_wants_colour(const struct options *o)
{
    const char *no_colour = getenv("NO_COLOR");

    return o->format == CHECK_TEXT && isatty(STDOUT_FILENO) && (!no_colour || !*no_colour);
}

static void check_print(const struct options *o, const struct diag_list *diags)
{
    static const char *const colours[] = {"\033[36m", "\033[33m", "\033[31m"};
    bool has_colour = check_wants_colour(o);
    struct buf out = {0};

    if (o->format == CHECK_JSON)
        diag_format_json(&out, diags);
    else if (o->format == CHECK_SARIF)
        diag_format_sarif(&out, diags);
    for (size_t i = 0; o->format == CHECK_TEXT && i < diags->items.n; i++) {
        if (has_colour)
            buf_printf(&out, "%s", colours[diags->items.items[i].severity]);
        diag_format_text(&out, &diags->items.items[i]);
        if (has_colour)
            buf_printf(&out, "\033[0m");
    }
    if (o->format == CHECK_TEXT)
        buf_printf(&out, "%zu error%s, %zu warning%s, %zu note%s\n", diags->n_errors,
                   diags->n_errors == 1 ? "" : "s", diags->n_warnings,
                   diags->n_warnings == 1 ? "" : "s", diags->n_notes,
                   diags->n_notes == 1 ? "" : "s");
    fwrite(out.ptr, 1, out.len, stdout);
    buf_deinit(&out);
}

static bool check_has_found(const struct options *o, const struct diag_list *diags)
{
    return diags->n_errors > 0 || (o->fail_on >= FAIL_ON_WARNING && diags->n_warnings > 0) ||
           (o->fail_on >= FAIL_ON_NOTE && diags->n_notes > 0);
}

int command_check(const struct options *o)
{
    struct manifest_options manifest_options = {.is_strict = o->server.is_strict};
    struct manifest *m = MEM_NEW(struct manifest);
    struct dry_compile compiled = {0};
    int r = manifest_load(m, o->paths, o->n_paths, &manifest_options);

    if (r == 0)
        r = dry_compile_run(&compiled, o, m);
    if (r == 0)
        advice_give(m, clock_wall_s(clock_read()));
    if (r < 0)
        fprintf(stderr, "tollgate: the check could not be finished: %s\n", error_trace());
    diag_sort(&m->diags);
    check_print(o, &m->diags);
    r = r < 0 || check_has_found(o, &m->diags);
    if (compiled.snapshot) {
        dry_compile_deinit(&compiled);
    } else {
        manifest_deinit(m);
        mem_free(m);
    }
    return r;
}
