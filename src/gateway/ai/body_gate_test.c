/* The time that a body has to come in while it is held, on an exchange that runs no steps: the test
 * stands for those that ask the gate. */
#include "gateway/ai/body_gate.h"

#include "base/mem.h"
#include "gateway/worker.h"
#include "test/harness/test.h"

static const uint64_t GATE_TIME_US = 300ULL * 1000000;

static struct worker worker;
static struct listener_plan listener = {
    .client = {.held_bytes = 64, .buffer_bytes = LIMIT_PIPE_HIGH_BYTES}};
static bool is_released;

static void down_want_body(struct downstream *d UNUSED, bool is_wanted UNUSED)
{
}

static void down_release(struct downstream *d UNUSED)
{
    is_released = true;
}

static const struct downstream_ops ops = {.want_body = down_want_body, .release = down_release};
static struct downstream down = {.ops = &ops};

/* An AI request whose head has come `ago_us` before now. */
static struct exchange *play_init(uint64_t ago_us)
{
    struct exchange *x;

    worker = (struct worker){0};
    is_released = false;
    CHECK_INT(loop_init(&worker.loop), 0);
    worker.loop.now.mono_us -= ago_us;
    x = exchange_new(&worker, &down);
    x->listener = &listener;
    x->endpoint = AI_ENDPOINT_CHAT_COMPLETIONS;
    x->request.body = HTTP_BODY_CHUNKED;
    http_headers_init(&x->request.headers, &x->arena);
    x->step = JOURNEY_END;
    x->is_running = true; /* in the step that asks: no resuming yet */
    return x;
}

static void play_end(struct exchange *x)
{
    if (!x->is_finished)
        exchange_cancel(x, CANCEL_CLIENT_LEFT);
    CHECK_INT(loop_turn(&worker.loop, 0), 0); /* it retires */
    list_remove(&x->node);
    arena_deinit(&x->arena);
    arena_deinit(&x->tail);
    mem_free(x);
    loop_deinit(&worker.loop);
}

/* The gate lets it go at its bound, before its end. */
static void let_go(struct exchange *x)
{
    CHECK_INT(body_gate_run(x), STEP_WAIT);
    exchange_on_body(x, STR("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\""
                            "so long that more would be too much to hold"));
    CHECK_INT(x->gate.state, GATE_STREAMING);
    CHECK_INT(body_gate_run(x), STEP_NEXT);
    CHECK(!timer_is_set(&x->try_timer));
}

TEST(a_body_has_its_time_from_the_first_asking_and_bytes_do_not_extend_it)
{
    struct exchange *x = play_init(GATE_TIME_US);
    uint64_t due_us = worker.loop.now.mono_us + GATE_TIME_US;

    CHECK_INT(body_gate_run(x), STEP_WAIT);
    CHECK(timer_is_set(&x->try_timer) && x->try_timer.due_us == due_us);
    worker.loop.now.mono_us += GATE_TIME_US / 2;
    exchange_on_body(x, STR("{\"model\":"));
    CHECK(x->try_timer.due_us == due_us);
    x->is_running = false;
    CHECK_INT(loop_turn(&worker.loop, 0), 0);
    CHECK(is_released);
    play_end(x);
}

TEST(a_body_that_is_held_on_has_the_time_once_more)
{
    struct exchange *x = play_init(GATE_TIME_US);
    uint64_t due_us;

    let_go(x);
    due_us = worker.loop.now.mono_us + GATE_TIME_US;
    CHECK_INT(body_gate_hold_on(x), STEP_WAIT);
    CHECK(timer_is_set(&x->try_timer) && x->try_timer.due_us == due_us);
    worker.loop.now.mono_us += GATE_TIME_US / 2;
    exchange_on_body(x, STR(" and still comes byte by byte"));
    CHECK_INT(x->gate.state, GATE_HOLDING);
    CHECK(x->try_timer.due_us == due_us);
    x->is_running = false;
    CHECK_INT(loop_turn(&worker.loop, 0), 0);
    CHECK(is_released);
    CHECK_INT(x->cancel, CANCEL_BODY_TIMEOUT);
    CHECK_INT(x->refusal, REFUSAL_REQUEST_TIMEOUT);
    play_end(x);
}

TEST(a_body_that_was_let_go_has_no_time_at_the_gate)
{
    struct exchange *x = play_init(GATE_TIME_US);

    let_go(x);
    x->is_running = false;
    CHECK_INT(loop_turn(&worker.loop, 0), 0);
    CHECK(!is_released);
    play_end(x);
}
