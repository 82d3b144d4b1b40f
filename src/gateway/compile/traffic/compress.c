/* compile: compression of answers. What is asked for beyond its bound is done as far as that goes,
 * with a warning. */
#include "gateway/compile/traffic/compress.h"

#include "gateway/compile/traffic.h"
#include "gateway/traffic/compress_plan.h"

static int int_or(struct opt_int given, int otherwise)
{
    return given.is_set ? (int)given.value : otherwise;
}

static void compress_set_gzip(const struct gzip_settings *s, struct encoder_settings *e)
{
    e->level = int_or(s->compression_level, e->level);
    e->window_bits = int_or(s->window_bits, e->window_bits);
    e->memory_level = int_or(s->memory_level, e->memory_level);
    e->strategy = MAX(s->compression_strategy, (int)GZIP_DEFAULT);
}

static void compress_set_brotli(const struct brotli_settings *s, struct encoder_settings *e)
{
    e->level = int_or(s->quality, e->level);
    e->window_bits = int_or(s->window_bits, e->window_bits);
    e->strategy = MAX(s->encoder_mode, (int)BROTLI_GENERIC) - BROTLI_GENERIC;
    e->has_no_context_of_literals = s->disable_literal_context_modeling.value;
}

static void compress_set_zstd(const struct zstd_settings *s, struct encoder_settings *e)
{
    e->level = int_or(s->compression_level, e->level);
    e->strategy = MAX(s->strategy, 0);
    e->has_checksum = s->enable_checksum.value;
}

static struct encoder_settings compress_settings(struct compile *c, struct compile_place *at,
                                                 const struct compression *spec)
{
    static const enum encoder_coding codings[] = {[COMPRESSION_GZIP] = ENCODER_GZIP,
                                                  [COMPRESSION_BROTLI] = ENCODER_BR,
                                                  [COMPRESSION_ZSTD] = ENCODER_ZSTD};
    const struct object *policy = at->traffic->merged.object;
    struct encoder_settings e = encoder_defaults(codings[spec->type]);

    if (spec->gzip)
        compress_set_gzip(spec->gzip, &e);
    if (spec->brotli)
        compress_set_brotli(spec->brotli, &e);
    if (spec->zstd)
        compress_set_zstd(spec->zstd, &e);
    if (encoder_settings_fit(&e) &&
        compile_tells(
            c, arena_printf(&c->scratch, "%.*s|compressor|%d", STR_ARG(policy->label), spec->type)))
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_OUT_OF_RANGE, spec->mark, policy->label,
                 "compressor: more memory or time than an answer may take: level %d%s", e.level,
                 spec->type == COMPRESSION_BROTLI ? ", and a window of 20 bits at most" : "");
    return e;
}

void compile_compress(struct compile *c, struct compile_place *at)
{
    const struct backend_traffic_policy_spec *spec = at->traffic->spec;
    struct compress_plan *plan;
    struct compress_item *items;
    size_t n = 0;

    if (!spec || spec->compression.n == 0)
        return;
    plan = ARENA_NEW(&at->plan->arena, struct compress_plan);
    items = ARENA_ARRAY(&at->plan->arena, struct compress_item, spec->compression.n);
    VEC_FOREACH (&spec->compression, given) {
        int64_t min_bytes = MAX(given->min_content_length.value, (int64_t)COMPRESSION_MIN_BYTES);

        items[n++] = (struct compress_item){compress_settings(c, at, given), (uint64_t)min_bytes};
    }
    plan->items = items;
    plan->n = n;
    at->rule->compress = plan;
}
