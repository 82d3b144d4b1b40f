/* See report.h. Texts of findings are clean (tree/diag_format.c), and the log escapes what is left.
 */
#include "app/report.h"

#include "base/log.h"

enum { REPORT_LISTENERS_MAX = 50 };

static void report_line(enum diag_severity severity, struct str line)
{
    log_write(severity == DIAG_ERROR ? LOG_ERROR : LOG_WARN, "%.*s", STR_ARG(line));
}

static void report_finding(const struct diag *d, struct buf *text)
{
    struct str rest, line;

    buf_clear(text);
    diag_format_text(text, d);
    rest = buf_str(text);
    while (str_split(&rest, '\n', &line) && line.len > 0)
        report_line(d->severity, line);
}

void report_findings(const struct diag_list *diags, enum diag_severity least, size_t max)
{
    size_t n_all = diags->n_errors + (least <= DIAG_WARNING ? diags->n_warnings : 0);
    struct buf text = {0};
    size_t n = 0;

    for (size_t i = 0; i < diags->items.n && n < max; i++) {
        const struct diag *d = &diags->items.items[i];

        if (d->severity == DIAG_NOTE || d->severity < least)
            continue;
        report_finding(d, &text);
        n++;
    }
    if (n_all > n)
        log_warn("%zu further findings: see tollgate check", n_all - n);
    buf_deinit(&text);
}

void report_summary(const struct diag_list *diags)
{
    log_info("configuration: %zu error%s, %zu warning%s, %zu note%s", diags->n_errors,
             diags->n_errors == 1 ? "" : "s", diags->n_warnings, diags->n_warnings == 1 ? "" : "s",
             diags->n_notes, diags->n_notes == 1 ? "" : "s");
}

void report_first_error(const struct diag_list *diags, struct buf *out)
{
    struct buf text = {0};

    for (size_t i = 0; i < diags->items.n; i++) {
        struct str rest, line;

        if (diags->items.items[i].severity != DIAG_ERROR)
            continue;
        diag_format_text(&text, &diags->items.items[i]);
        rest = buf_str(&text);
        if (str_split(&rest, '\n', &line))
            buf_append_str(out, line);
        break;
    }
    buf_deinit(&text);
}

/* ---- listeners ---- */

static void report_port(const struct port_plan *p, size_t *n)
{
    for (uint32_t i = 0; i < p->n_listeners; i++) {
        if ((*n)++ >= REPORT_LISTENERS_MAX)
            continue;
        log_info("listener %.*s (%s, port %u) is served on %.*s:%u", STR_ARG(p->listeners[i]->name),
                 p->is_tls ? "HTTPS" : "HTTP", p->number,
                 STR_ARG(p->address.len > 0 ? p->address : STR("*")), p->port->bound);
    }
}

/* Why a listener is not opened: the first of its conditions that does not hold, before Programmed,
 * which mostly follows from them. */
static const struct condition *report_reason(const struct condition_set *set)
{
    const struct condition *programmed = NULL;

    for (size_t i = 0; i < set->items.n; i++) {
        const struct condition *c = &set->items.items[i];
        bool is_conflict = strcmp(c->type, "Conflicted") == 0;

        if (strcmp(c->type, "Programmed") == 0)
            programmed = c;
        else if ((c->status == CONDITION_TRUE) == is_conflict)
            return c;
    }
    return programmed;
}

static void report_unprogrammed(const struct object *gateway, size_t *n)
{
    for (size_t i = 0; i < gateway->conditions.n; i++) {
        const struct condition_set *set = &gateway->conditions.items[i];
        const struct condition *c = object_find_condition(gateway, set->about, "Programmed");

        if (set->about.len == 0 || !c || c->status == CONDITION_TRUE ||
            (*n)++ >= REPORT_LISTENERS_MAX)
            continue;
        c = report_reason(set);
        log_warn("listener %.*s of %.*s is not served: %s%s%.*s (tollgate check says where)",
                 STR_ARG(set->about), STR_ARG(gateway->label), c->reason,
                 c->message.len > 0 ? ": " : "", STR_ARG(c->message));
    }
}

void report_listeners(const struct server *server)
{
    const struct snapshot *s = server->current;
    const struct object_vec *gateways = manifest_kind(s->manifest, KIND_GATEWAY);
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_ports; i++)
        report_port(&s->ports[i], &n);
    for (size_t i = 0; i < gateways->n; i++)
        report_unprogrammed(gateways->items[i], &n);
    if (n > REPORT_LISTENERS_MAX)
        log_info("%zu further listeners: see /status", n - REPORT_LISTENERS_MAX);
    if (s->has_global_limits)
        log_info("global rate limits are counted by this process: each further replica of the "
                 "gateway allows them once more");
    if (s->n_ports == 0)
        log_warn("no listener is programmed: nothing is served yet; tollgate get gateways -A and "
                 "tollgate check say why");
}
