/* compile: cost expressions of AIGatewayRoutes.
 *
 * A route whose costs cannot be computed refuses its requests: served without them, it would be
 * free. Expressions are tried once per manifest, so that a route on five listeners has one error,
 * and a route on none has it too; then they are compiled for each listener into the route plan,
 * which outlives the manifest. Duplicate keys are found when the manifest is decoded. */
#include "gateway/compile/cost.h"

/* "line 2, column 7 of the expression", for the manifest's author to count. */
static struct str cost_place(struct arena *a, struct str text, size_t offset)
{
    size_t line = 1;
    size_t start = 0;

    for (size_t i = 0; i < MIN(offset, text.len); i++) {
        if (text.ptr[i] != '\n')
            continue;
        line++;
        start = i + 1;
    }
    return arena_printf(a, "line %zu, column %zu of the expression", line, offset - start + 1);
}

static void check_cost(struct compile *c, struct ai_gateway_route *route, size_t index)
{
    const struct ai_request_cost *spec = &route->spec.llm_request_costs.items[index];
    const struct str text = spec->cel.text;
    const struct cel_expr *expr;
    struct cel_error error;

    if (cost_expr_parse(&c->scratch, text, &expr, &error) == 0)
        return;
    struct diag *d = manifest_object_error(c->manifest, &route->object, DIAG_INVALID_VALUE,
                                           marked_text_at(&spec->cel, error.offset), "%.*s",
                                           STR_ARG(error.text));

    d->path = arena_printf(&c->manifest->arena, "spec.llmRequestCosts[%zu].cel", index);
    if (spec->cel.quote == NODE_LINES) /* the mark says only where the text begins */
        d->hint = cost_place(&c->manifest->arena, text, error.offset);
}

void compile_check_costs(struct compile *c)
{
    const struct object_vec *routes = manifest_kind(c->manifest, KIND_AI_GATEWAY_ROUTE);

    VEC_FOREACH (routes, at) {
        struct ai_gateway_route *route = (struct ai_gateway_route *)*at;

        for (size_t i = 0; i < route->spec.llm_request_costs.n; i++) {
            const struct ai_request_cost *spec = &route->spec.llm_request_costs.items[i];

            /* What is not there, or no text, is reported already. */
            if (spec->type == AI_COST_CEL && spec->cel.text.ptr)
                check_cost(c, route, i);
        }
    }
}

static enum cost_type cost_type_of(int type)
{
    static const enum cost_type types[] = {
        [AI_COST_OUTPUT_TOKEN] = COST_OUTPUT_TOKEN,
        [AI_COST_INPUT_TOKEN] = COST_INPUT_TOKEN,
        [AI_COST_CACHED_INPUT_TOKEN] = COST_CACHED_INPUT_TOKEN,
        [AI_COST_CACHE_CREATION_INPUT_TOKEN] = COST_CACHE_CREATION_INPUT_TOKEN,
        [AI_COST_TOTAL_TOKEN] = COST_TOTAL_TOKEN,
        [AI_COST_REASONING_TOKEN] = COST_REASONING_TOKEN,
        [AI_COST_CEL] = COST_CEL,
    };

    return type < 0 || type >= (int)N_ELEMENTS(types) ? COST_TOTAL_TOKEN : types[type];
}

struct cost_list compile_costs(const struct ai_gateway_route *route, struct arena *a)
{
    const size_t n = route->spec.llm_request_costs.n;
    struct cost_plan *costs = ARENA_ARRAY(a, struct cost_plan, n + 1);
    struct cel_error error;

    for (size_t i = 0; i < n; i++) {
        const struct ai_request_cost *spec = &route->spec.llm_request_costs.items[i];

        costs[i].metadata_key = arena_str(a, spec->metadata_key);
        costs[i].type = cost_type_of(spec->type);
        if (costs[i].type == COST_CEL &&
            cost_expr_parse(a, spec->cel.text, &costs[i].expr, &error) != 0)
            costs[i].type = COST_TOTAL_TOKEN; /* reported; the route refuses */
    }
    return (struct cost_list){costs, (uint32_t)n};
}
