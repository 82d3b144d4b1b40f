/* tollgate logs: what the running gateway has said of itself, from its memory (decision 24). It is
 * one process, in no namespace: -n is taken and changes nothing; -l selects it by the labels that
 * Envoy Gateway's controller and proxies have, or does not. */
#include <stdio.h>
#include <time.h>

#include "app/commands.h"
#include "app/objects/ask.h"
#include "app/objects/label.h"
#include "app/objects/say.h"
#include "app/objects/source.h"
#include "app/objects/text.h"

enum { LOGS_PAUSE_S = 1 }; /* between two questions, with --follow */

struct logs {
    const struct options *options;
    struct source source;
    struct buf out;
    struct buf why;
    uint64_t position; /* in the gateway's memory */
};

/* ---- whose logs ---- */

static const struct label gateway_labels[] = {
    {{"app", 3}, {"envoy-gateway", 13}},
    {{"app", 3}, {"tollgate", 8}},
    {{"app.kubernetes.io/name", 22}, {"envoy", 5}},
    {{"app.kubernetes.io/name", 22}, {"envoy-gateway", 13}},
    {{"app.kubernetes.io/name", 22}, {"gateway-helm", 12}},
    {{"app.kubernetes.io/name", 22}, {"tollgate", 8}},
    {{"app.kubernetes.io/component", 27}, {"proxy", 5}},
    {{"app.kubernetes.io/managed-by", 28}, {"envoy-gateway", 13}},
    {{"control-plane", 13}, {"envoy-gateway", 13}},
};

#define OWNING "gateway.envoyproxy.io/owning-gateway-"

struct label_vec {
    struct label *items;
    size_t n;
    size_t cap;
};

/* Of the Gateways that it serves; asked for only where the selector speaks of them. */
static int logs_add_owners(struct logs *l, struct label_vec *labels)
{
    struct object_query q = {.group = kinds[KIND_GATEWAY].group,
                             .has_group = true,
                             .kind = kinds[KIND_GATEWAY].name,
                             .is_brief = true};
    struct shown_vec gateways = {0};
    int code = source_read(&l->source, &q, &gateways, &l->why);

    for (size_t i = 0; code == 0 && i < gateways.n; i++) {
        VEC_PUSH(&l->source.arena, labels,
                 ((struct label){STR(OWNING "name"), gateways.items[i].name}));
        VEC_PUSH(&l->source.arena, labels,
                 ((struct label){STR(OWNING "namespace"), gateways.items[i].namespace}));
    }
    return code;
}

static void logs_say_labels(const struct options *o)
{
    struct buf list = {0};

    for (size_t i = 0; i < N_ELEMENTS(gateway_labels); i++)
        buf_printf(&list, "%s%.*s=%.*s", i > 0 ? ", " : "", STR_ARG(gateway_labels[i].key),
                   STR_ARG(gateway_labels[i].value));
    say_note("No resources found in %.*s namespace.", STR_ARG(o->namespace));
    say_note("These are the logs of the gateway alone. Its labels: %.*s, and " OWNING
             "name and -namespace of its Gateways.",
             STR_ARG(buf_str(&list)));
    buf_deinit(&list);
}

/* 0: it is meant; 1: it is not, or who that is cannot be found out (said). */
static int logs_select(struct logs *l, bool *ret_is)
{
    const struct options *o = l->options;
    struct label_vec labels = {0};

    *ret_is = true;
    if (o->selector.len == 0)
        return 0;
    for (size_t i = 0; i < N_ELEMENTS(gateway_labels); i++)
        VEC_PUSH(&l->source.arena, &labels, gateway_labels[i]);
    if (str_find(o->selector, STR(OWNING)) >= 0 && logs_add_owners(l, &labels) != 0)
        return SOURCE_FAILED;
    if (label_select(o->selector, labels.items, labels.n, ret_is) == 0)
        return 0;
    buf_printf(&l->why, "-l %.*s: expected KEY=VALUE, KEY!=VALUE, KEY or !KEY, with commas between",
               STR_ARG(o->selector));
    return SOURCE_FAILED;
}

/* ---- their lines ---- */

/* The last `tail` lines of `text`, whose last one ends too. */
static struct str text_tail(struct str text, uint32_t tail)
{
    uint32_t n = 0;

    for (size_t at = text.len; at > 0; at--) {
        if (text.ptr[at - 1] == '\n' && n++ == tail)
            return str_slice(text, at, text.len);
    }
    return text;
}

static void logs_print(struct logs *l, struct str lines)
{
    buf_clear(&l->out);
    text_append_safe_lines(&l->out, lines);
    fwrite(l->out.ptr, 1, l->out.len, stdout);
    fflush(stdout);
}

/* The first line is "POSITION MISSED", the others are the log's. */
static bool logs_parse(struct logs *l, struct str body, struct str *ret_lines)
{
    struct str head, position;
    uint64_t missed;

    if (!str_split(&body, '\n', &head) || !str_split(&head, ' ', &position) ||
        !str_to_u64(position, &l->position) || !str_to_u64(head, &missed))
        return false;
    if (missed > 0)
        say_note("%llu bytes of the log were gone before they were read",
                 (unsigned long long)missed);
    *ret_lines = body;
    return true;
}

static int logs_ask(struct logs *l, bool is_first)
{
    struct ask_answer answer;
    struct buf query = {0};
    struct str lines;
    int code;

    buf_printf(&query, "after=%llu", (unsigned long long)l->position);
    code = ask_admin(&l->options->admin,
                     &(struct ask_question){.path = STR("/logs"), .query = buf_str(&query)},
                     &answer, &l->why);
    buf_deinit(&query);
    if (code != 0)
        buf_printf(&l->why, "; --admin ADDR:PORT says where one does");
    if (code == 0 && answer.status == 200 && logs_parse(l, buf_str(&answer.body), &lines)) {
        logs_print(l,
                   is_first && l->options->has_tail ? text_tail(lines, l->options->tail) : lines);
    } else if (code == 0) {
        buf_printf(&l->why, "the gateway's admin port tells no log (%u)", answer.status);
        code = ASK_FAILED;
    }
    buf_deinit(&answer.body);
    return code;
}

static int logs_run(struct logs *l)
{
    bool is_meant;
    int code = source_open(&l->source, l->options, &l->why);

    if (code == 0)
        code = logs_select(l, &is_meant);
    if (code == 0 && !is_meant) {
        logs_say_labels(l->options);
        return 0;
    }
    if (code == 0)
        code = logs_ask(l, true);
    while (code == 0 && l->options->follows) {
        nanosleep(&(struct timespec){.tv_sec = LOGS_PAUSE_S}, NULL);
        code = logs_ask(l, false);
    }
    return code;
}

int command_logs(const struct options *o)
{
    struct logs l = {.options = o};
    int code = logs_run(&l);

    if (code != 0)
        say_error("%.*s", STR_ARG(buf_str(&l.why)));
    source_close(&l.source);
    buf_deinit(&l.out);
    buf_deinit(&l.why);
    return code != 0 ? 1 : 0;
}
