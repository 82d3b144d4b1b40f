/* What of a tracestate goes on. */
#include "telemetry/trace/trace_state.h"

#include "base/buf.h"
#include "base/limits.h"
#include "test/harness/test.h"

static struct arena arena;

static struct str sound(struct str text)
{
    if (arena.chunk_bytes == 0)
        arena_init(&arena, 4096);
    return trace_state_sound(text, &arena);
}

TEST(a_sound_tracestate_goes_on_as_it_is)
{
    static const char *const good[] = {
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1",
        "fw529a3039@dt=FfyZXpSvkuuIqHjnzmVCUN,0tenant@system=x y !~",
        "a=1, b=2 ,\tc=3",
        "a=1,,b=2",
        "a_b-c*d/e=1",
    };

    for (size_t i = 0; i < N_ELEMENTS(good); i++)
        CHECK_STR(sound(str_of(good[i])), good[i]);
    arena_deinit(&arena);
}

TEST(a_malformed_tracestate_goes_no_further)
{
    static const char *const bad[] = {
        "",
        " ",
        ",",
        "a",
        "a=",
        "=1",
        "A=1",
        "1a=1",
        "a=1=2",
        "a=1,b",
        "a b=1",
        "a@1b=1",
        "a@b@c=1",
        "@a=1",
        "a@=1",
        "a=\x7f",
        "a=\xc3\xa9",
        "a=1,b=2,a=3",
        "a@abcdefghijklmno=1",
    };
    struct buf many = {0};

    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        CHECK_MSG(sound(str_of(bad[i])).len == 0, "%s", bad[i]);
    for (int i = 0; i < 33; i++)
        buf_printf(&many, "%sk%d=v", i ? "," : "", i);
    CHECK(sound(buf_str(&many)).len == 0);
    buf_deinit(&many);
    arena_deinit(&arena);
}

TEST(what_is_too_long_is_shortened_by_whole_members)
{
    struct buf text = {0};
    struct str kept;

    buf_printf(&text, "first=1,large=%0140d", 0);
    for (int i = 0; i < 20; i++)
        buf_printf(&text, ",key%02d=%020d", i, i);
    kept = sound(buf_str(&text));
    CHECK(kept.len <= LIMIT_TRACE_STATE_BYTES && kept.len > LIMIT_TRACE_STATE_BYTES - 40);
    CHECK(str_starts_with(kept, STR("first=1,key00=00000000000000000000,key01=")));
    CHECK(str_find(kept, STR("large")) < 0);
    CHECK(str_find(kept, STR("key19")) < 0);
    CHECK(sound(kept).len == kept.len);
    buf_deinit(&text);
    arena_deinit(&arena);
}
