/* tollgate docs: the reference, printed from the very tables that the program runs on. */
#include <stdio.h>

#include "app/cli/command_table.h"
#include "app/cli/man.h"
#include "app/commands.h"
#include "base/limits.h"
#include "gateway/account/log_match.h"
#include "gateway/journey.h"
#include "gateway/refusal.h"
#include "manifest/reference.h"
#include "telemetry/log_format.h"
#include "telemetry/metrics.h"

static void docs_refusals(struct buf *out)
{
    buf_printf(
        out,
        "# Refusals\n\nEvery way in which the gateway itself says no. The body is JSON in the "
        "shape of the API that was called:\n\n"
        "| path | body |\n|---|---|\n"
        "| KServe V1 and V2: `/v1/models/{model}...`, `/v2/models/{model}...`, `/v2/health/...`, "
        "`/v2/repository/...`, `/v2` | `{\"error\": message, \"code\": code}` |\n"
        "| Anthropic: `/v1/messages`, `/anthropic/v1/messages` | `{\"type\": \"error\", "
        "\"error\": {\"type\", \"message\"}}` |\n"
        "| any other | `{\"error\": {\"message\", \"type\", \"param\", \"code\"}}`, "
        "OpenAI's |\n\n"
        "`type` follows the status; `param` is the field of the body that is wrong, or null. The "
        "message may say more\nthan the table.\n\n"
        "A call of gRPC (POST, `application/grpc`) is told the gRPC status and the message "
        "instead, "
        "in a head of status\n200 that is trailers too (Trailers-Only); logs and metrics keep the "
        "status of this table.\n\n"
        "| status | code | log flag | gRPC status | message |\n|--:|---|---|---|---|\n");
    for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT_; i++) {
        const struct refusal_row *row = refusal_row((enum refusal)i);

        buf_printf(out, "| %u | `%s` | %s | %.*s | %s |\n", row->status, row->code, row->flag,
                   STR_ARG(grpc_status_snake(refusal_grpc_status((enum refusal)i, row->status))),
                   row->text);
    }
}

static void docs_config(struct buf *out)
{
    reference_format(out);
}

static void docs_metrics(struct buf *out)
{
    metrics_format_docs(out);
}

static void docs_man(struct buf *out)
{
    man_format(out);
}

static void docs_journey(struct buf *out)
{
    buf_printf(out, "# The journey of a request\n\n| step | question | may wait | always runs "
                    "|\n|---|---|---|---|\n");
    for (int i = 0; i < JOURNEY_END; i++)
        buf_printf(out, "| %s | %s | %s | %s |\n", journey_rows[i].name, journey_rows[i].question,
                   journey_rows[i].may_wait ? "yes" : "", journey_rows[i].always_runs ? "yes" : "");
}

static void docs_limits(struct buf *out)
{
    buf_printf(out, "# Limits\n\nEvery bound on what an outsider can make the gateway hold.\n\n"
                    "| limit | value | unit | of |\n|---|--:|---|---|\n");
    for (const struct limit_row *row = limit_rows; row->name; row++)
        buf_printf(out, "| %s | %lu | %s | %s |\n", row->name, row->value, row->unit, row->text);
}

static void docs_access_log(struct buf *out)
{
    buf_printf(out, "# Access log\n\n## The default\n\n");
    log_format_default_docs(out);
    buf_printf(
        out, "\n## Operators of formats\n\n`%%NAME(ARGUMENT):LENGTH%%` in an "
             "EnvoyProxy's `accessLog.settings[].format`, as Envoy names them. A value that is "
             "absent\nis `-` in text, `null` as a member of JSON. No value can end a line or a "
             "quoted string: in text, bytes that are\nnot printable ASCII are `\\xNN`, quotes and "
             "backslashes have a backslash; in JSON, strings are JSON's. Credentials\nare "
             "`redacted`.\n\n");
    log_format_docs(out);
    buf_printf(out, "\n## Attributes of matches\n\nWhat the CEL expressions of "
                    "`accessLog.settings[].matches` can read, as Envoy names them. An expression "
                    "that\nfails, since something that it reads is absent, does not match.\n\n");
    log_match_docs(out);
}

int command_docs(const char *name)
{
    static const struct {
        const char *name;
        void (*format)(struct buf *out);
    } rows[] = {
#define X(page, word) {word, docs_##page},
        DOCS_PAGES(X)
#undef X
    };
    struct buf out = {0};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        if (strcmp(name, rows[i].name) != 0)
            continue;
        rows[i].format(&out);
        fwrite(out.ptr, 1, out.len, stdout);
        buf_deinit(&out);
        return 0;
    }
    fprintf(stderr, "tollgate: no page named %s; there are: %s\nSee tollgate docs --help.\n", name,
            command_row_get(COMMAND_DOCS)->operand_words);
    return 2;
}
