/* What answers that are held count towards the worker's bound, and what becomes of them without
 * room: on an exchange of which only what an answer looks at is there. */
#include "gateway/ai/ai_answer.h"

#include "gateway/worker.h"
#include "test/harness/test.h"

static struct worker worker;
static struct exchange x;
static struct downstream client;
static struct buf sent;
static struct ai_backend_plan provider;
static struct backend_plan backend = {.ai = &provider};

static void client_send(struct downstream *d, struct str span)
{
    (void)d;
    buf_append_str(&sent, span);
}

static bool client_is_full(struct downstream *d)
{
    (void)d;
    return false;
}

static void client_flush(struct downstream *d)
{
    (void)d;
}

static const struct downstream_ops client_ops = {
    .send_data = client_send, .is_full = client_is_full, .flush = client_flush};

/* A chat's answer has begun, from a provider of that API, while the worker has so much room. */
static void play_begin(enum llm_schema schema, const char *type, uint64_t room)
{
    struct http_response *r = &x.attempt.response;

    CHECK_INT(loop_init(&worker.loop), 0);
    worker.held_answers.n_bytes = LIMIT_HELD_ANSWER_BYTES - room;
    client.ops = &client_ops;
    provider.target.schema = schema;
    x = (struct exchange){.worker = &worker,
                          .downstream = &client,
                          .backend = &backend,
                          .endpoint = AI_ENDPOINT_CHAT_COMPLETIONS,
                          .is_running = true}; /* the play is the runner */
    arena_init(&x.arena, 8192);
    http_headers_init(&r->headers, &x.arena);
    http_headers_add_id(&r->headers, HEADER_CONTENT_TYPE, str_of(type));
    r->status = 200;
    r->body = HTTP_BODY_CHUNKED;
    ai_answer_begin(&x, &backend);
}

/* And has ended: nothing of it counts any more. */
static void play_end(uint64_t room)
{
    ai_answer_deinit(&x);
    CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - room);
    arena_deinit(&x.arena);
    buf_deinit(&sent);
    loop_deinit(&worker.loop);
}

#define DOCUMENT                                                                                   \
    "{\"id\":\"i\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":"       \
    "[{\"type\":\"text\",\"text\":\"It is said\"}],\"stop_reason\":\"end_turn\","                  \
    "\"usage\":{\"input_tokens\":9,\"output_tokens\":3}}"

static void feed_document(size_t n_bytes)
{
    struct str document = STR(DOCUMENT);

    for (size_t at = 0; at < n_bytes; at += 50)
        ai_answer_on_data(&x, str_slice(document, at, MIN(at + 50, n_bytes)));
}

TEST(a_document_counts_as_it_grows_until_it_is_given_back)
{
    enum { WHOLE = sizeof DOCUMENT - 1, ROOM = 4096 };

    for (int end = 0; end < 5; end++) {
        play_begin(LLM_SCHEMA_ANTHROPIC, "application/json", ROOM);
        CHECK(ai_answer_hold(&x, end == 1));
        feed_document(100);
        CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - ROOM + 100);
        switch (end) {
        case 0: /* cancelled */
            break;
        case 1: /* another backend's turn */
            ai_answer_drop(&x);
            CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - ROOM);
            break;
        case 2:
            ai_answer_begin(&x, &backend);
            CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - ROOM);
            break;
        case 3: /* cut off */
            x.response = x.attempt.response;
            CHECK_INT(ai_answer_finish_head(&x), REFUSAL_UPSTREAM_BAD_ANSWER);
            break;
        default:
            ai_answer_drop(&x);
            ai_answer_begin(&x, &backend);
            CHECK(ai_answer_hold(&x, false));
            feed_document(WHOLE);
            CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - ROOM + WHOLE);
            x.is_answer_complete = true;
            CHECK(!ai_answer_hold(&x, false));
            x.response = x.attempt.response;
            CHECK_INT(ai_answer_finish_head(&x), REFUSAL_NONE);
            CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - ROOM);
            ai_answer_release(&x);
            CHECK(str_find(buf_str(&sent), STR("\"It is said\"")) >= 0);
        }
        play_end(ROOM);
    }
}

TEST(a_document_without_room_is_read_on_for_its_usage_and_refused)
{
    enum { WHOLE = sizeof DOCUMENT - 1 };
    static const uint64_t rooms[] = {0, 49, 50, 120, WHOLE - 1, WHOLE};

    for (size_t i = 0; i < N_ELEMENTS(rooms); i++) {
        bool has_room = rooms[i] == WHOLE;
        struct usage usage;

        play_begin(LLM_SCHEMA_ANTHROPIC, "application/json", rooms[i]);
        CHECK(ai_answer_hold(&x, false));
        feed_document(WHOLE);
        CHECK_INT(x.answer->held.len, has_room ? WHOLE : 0);
        CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - (has_room ? 0 : rooms[i]));
        CHECK(ai_answer_hold(&x, false)); /* its end is to come */
        x.is_answer_complete = true;
        CHECK(!ai_answer_hold(&x, false));
        x.response = x.attempt.response;
        CHECK_INT(ai_answer_finish_head(&x), has_room ? REFUSAL_NONE : REFUSAL_OVERLOADED);
        ai_answer_close(&x);
        answer_scan_usage(&x.answer->scan, &usage);
        CHECK(usage.has_input && usage.has_output);
        CHECK_INT(usage.input, 9);
        CHECK_INT(usage.output, 3);
        play_end(rooms[i]);
    }
}

TEST(a_document_that_is_too_long_is_refused_as_such_with_room_and_without)
{
    static char spaces[65536];

    memset(spaces, ' ', sizeof spaces);
    for (int has_room = 0; has_room < 2; has_room++) {
        uint64_t room = has_room ? LIMIT_HELD_ANSWER_BYTES : 1000;
        uint64_t n_fed = 0;

        play_begin(LLM_SCHEMA_ANTHROPIC, "application/json", room);
        while (ai_answer_hold(&x, false)) {
            ai_answer_on_data(&x, str_make(spaces, sizeof spaces));
            n_fed += sizeof spaces;
        }
        CHECK_INT(n_fed, LIMIT_TRANSLATE_BYTES + sizeof spaces);
        x.response = x.attempt.response;
        CHECK_INT(ai_answer_finish_head(&x), REFUSAL_UPSTREAM_BAD_ANSWER);
        play_end(room);
    }
}

TEST(a_look_ahead_without_room_ends_and_nothing_of_it_is_lost)
{
    static const struct str frames[] = {
        STR("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"),
        STR("data: {\"choices\":[],\"usage\":null}\n\n")};

    for (uint64_t room = 0; room < 200; room += 66) {
        struct buf all = {0};

        play_begin(LLM_SCHEMA_OPENAI, "text/event-stream", room);
        CHECK(ai_answer_hold(&x, true));
        for (size_t i = 0; i < N_ELEMENTS(frames) && ai_answer_hold(&x, true); i++) {
            ai_answer_on_data(&x, frames[i]);
            buf_append_str(&all, frames[i]);
        }
        CHECK(ai_answer_hold(&x, true) == (all.len <= room));
        CHECK(worker.held_answers.n_bytes <= LIMIT_HELD_ANSWER_BYTES);
        x.response = x.attempt.response;
        CHECK_INT(ai_answer_finish_head(&x), REFUSAL_NONE);
        ai_answer_release(&x);
        CHECK(str_eq(buf_str(&sent), buf_str(&all)));
        CHECK_INT(worker.held_answers.n_bytes, LIMIT_HELD_ANSWER_BYTES - room);
        buf_deinit(&all);
        play_end(room);
    }
}

TEST(a_translated_answer_without_content_is_complete_as_it_is)
{
    static const uint16_t statuses[] = {204, 304};

    for (size_t i = 0; i < N_ELEMENTS(statuses); i++) {
        struct http_response *r = &x.attempt.response;

        play_begin(LLM_SCHEMA_ANTHROPIC, "application/json", 0);
        r->status = statuses[i];
        r->body = HTTP_BODY_NONE;
        CHECK(!ai_answer_hold(&x, false));
        x.response = *r;
        CHECK_INT(ai_answer_finish_head(&x), REFUSAL_NONE);
        CHECK(ai_answer_on_end(&x));
        CHECK_INT(sent.len, 0);
        play_end(0);
    }
    /* One with content that has not a byte of it is none. */
    play_begin(LLM_SCHEMA_ANTHROPIC, "text/event-stream", 0);
    CHECK(!ai_answer_hold(&x, false));
    x.response = x.attempt.response;
    CHECK_INT(ai_answer_finish_head(&x), REFUSAL_NONE);
    CHECK(!ai_answer_on_end(&x));
    play_end(0);
}
