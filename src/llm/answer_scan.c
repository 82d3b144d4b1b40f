/* The meter of answers.
 *
 * Each frame of an event stream (or the one JSON document) fills a struct answer_reading; when it
 * ends well, the reading is added to what is known: later counts replace earlier ones, since
 * streams that count more than once count cumulatively; text adds up. A frame that cannot be read
 * adds its bytes as text: an answer is not free for being odd.
 *
 * The fast way: most frames of a stream differ from the one before in their content only. Such a
 * frame is compared with the remembered shape instead of being scanned (event_shape.h); anything
 * else takes the long way, and both say the same.
 *
 * The caller owns the struct, one thread. Which hits mean what is in answer_take.c, what they are
 * called in answer_paths.c. */
#include "llm/answer_scan.h"

#include "llm/answer_take.h"

static bool has_media_type(struct str content_type, struct str type)
{
    if (!str_starts_with_nocase(content_type, type))
        return false;
    struct str rest = str_trim(str_slice(content_type, type.len, content_type.len));

    return rest.len == 0 || rest.ptr[0] == ';';
}

enum answer_kind answer_kind_of(struct str content_type)
{
    content_type = str_trim(content_type);
    if (has_media_type(content_type, STR("text/event-stream")))
        return ANSWER_EVENTS;
    return has_media_type(content_type, STR("application/json")) ? ANSWER_JSON : ANSWER_OTHER;
}

static void start_reading(struct answer_scan *s)
{
    memset(&s->reading, 0, offsetof(struct answer_reading, slots));
    s->is_scanning = true;
    s->is_broken = false;
    s->n_head = 0;
    json_scan_init(&s->json, s->paths->paths, answer_take, s);
}

void answer_scan_init(struct answer_scan *s, enum ai_endpoint endpoint, enum answer_kind kind)
{
    /* Not the reading and the JSON, which start with the first frame. */
    memset(s, 0, offsetof(struct answer_scan, reading));
    s->shape.n_slots = 0;
    s->paths = answer_paths_of(endpoint);
    s->is_text = answer_is_text(endpoint);
    s->uses_shapes = true;
    /* With the binary data extension tensors follow the JSON, which knows their shapes. */
    if (endpoint == AI_ENDPOINT_KSERVE_V2_INFER && kind == ANSWER_OTHER)
        kind = ANSWER_JSON;
    s->kind = s->paths ? kind : ANSWER_OTHER;
    if (s->kind == ANSWER_JSON)
        start_reading(s);
}

/* ---- What is known ---- */

static void add_text(struct answer_scan *s, uint64_t n_bytes)
{
    s->facts.text_bytes += n_bytes;
    s->open_text_bytes += n_bytes;
    if (n_bytes > 0)
        s->facts.has_content = true;
}

static void add_unreadable(struct answer_scan *s, uint64_t n_bytes)
{
    s->facts.n_unreadable++;
    s->facts.has_content = true;
    if (s->is_text)
        add_text(s, n_bytes);
}

/* Text that a reading stands for. */
static uint64_t text_of(const struct answer_reading *r)
{
    return r->is_no_text ? 0 : r->text_bytes + r->delta_bytes;
}

/* Before the reading's text is added. */
static void add_error(struct answer_scan *s, const struct answer_reading *r)
{
    if (!r->is_error)
        return;
    if (r->is_error_first && !s->facts.has_content && !s->facts.is_error)
        s->facts.is_error_first = true;
    s->facts.is_error = true;
}

static void add_reading(struct answer_scan *s, const struct answer_reading *r)
{
    add_error(s, r);
    add_text(s, text_of(r));
    s->facts.has_content |= r->has_media;
    /* No tokens for some text: servers that do not count say 0, some until the end. */
    if ((r->has & (1U << ANSWER_OUTPUT)) && r->counts[ANSWER_OUTPUT] > 0)
        s->open_text_bytes = 0;
    /* A total goes with the counts it was told with: of a frame that is cut within its usage the
     * new output must not stand beside the old total. */
    if (r->has & (1U << ANSWER_INPUT | 1U << ANSWER_OUTPUT)) {
        s->has &= ~(1U << ANSWER_TOTAL);
        s->counts[ANSWER_TOTAL] = 0;
    }
    for (unsigned i = 0; i < ANSWER_COUNTS_; i++) {
        if (r->has & (1U << i))
            s->counts[i] = r->counts[i];
    }
    s->has |= r->has;
    s->is_invalid |= r->is_invalid;
    s->facts.is_ended |= r->is_end;
    if (r->finish_len > 0) {
        s->facts.is_finished = true;
        s->facts.finish_len = r->finish_len;
        memcpy(s->facts.finish, r->finish, r->finish_len);
    }
}

/* The string that the text stopped in has been passed on as far as it goes. */
static void add_open_text(struct answer_scan *s)
{
    unsigned path = 0;
    uint64_t n_bytes = json_scan_open_text(&s->json, &path);
    enum answer_take take = s->paths->rows[path].take;

    if (n_bytes == 0)
        return;
    if (take == ANSWER_TAKE_TEXT)
        s->reading.text_bytes += n_bytes;
    else if (take == ANSWER_TAKE_DELTA)
        s->reading.delta_bytes += n_bytes;
}

/* ---- Frames ---- */

static bool is_error_name(struct str name)
{
    return str_eq(name, STR("error"));
}

static void tell_frame(struct answer_scan *s, const struct event *e,
                       const struct answer_frame *what)
{
    struct answer_frame frame = *what;

    if (!s->frame_fn)
        return;
    frame.begin = e->begin;
    frame.end = e->end;
    if (frame.null_begin > 0)
        frame.null_begin = e->is_one_line ? e->data_begin + frame.null_begin : 0;
    s->frame_fn(s->frame_context, &frame);
}

static bool read_shape(struct answer_scan *s, const struct event *e)
{
    uint64_t n_bytes;
    size_t mark;

    if (!s->uses_shapes || is_error_name(e->name) ||
        !event_shape_match(&s->shape, e->data, &n_bytes, &mark))
        return false;
    s->facts.n_frames++;
    add_text(s, n_bytes);
    tell_frame(s, e, &(struct answer_frame){.null_begin = mark});
    return true;
}

static bool says_only_content(const struct answer_reading *r)
{
    return r->has_text && r->has == 0 && r->finish_len == 0 && !r->has_usage && !r->is_error &&
           !r->is_end && !r->is_no_text && !r->is_invalid && !r->is_unusual;
}

static void feed_frame(struct answer_scan *s, struct str piece)
{
    if (!s->is_scanning)
        start_reading(s);
    for (size_t i = 0; i < piece.len && s->n_head < sizeof s->head; i++)
        s->head[s->n_head++] = piece.ptr[i];
    if (!s->is_broken)
        s->is_broken = json_scan_feed(&s->json, piece) != 0;
}

/* False when the frame could not be read. */
static bool end_json_frame(struct answer_scan *s, const struct event *e)
{
    struct answer_reading *r = &s->reading;
    bool is_part = e->is_unfinished || e->is_cut;

    if (is_part)
        add_open_text(s);
    int error = json_scan_end(&s->json);

    if (error && !(is_part && error == JSON_TRUNCATED)) {
        add_unreadable(s, e->is_cut ? e->end - e->begin : e->n_data);
        return false;
    }
    if (e->is_cut)
        add_unreadable(s, e->end - e->begin - e->n_data);
    if (is_error_name(e->name)) {
        r->is_error_first |= !r->is_error && text_of(r) == 0;
        r->is_error = true;
    }
    add_reading(s, r);
    if (!error && e->is_whole && s->uses_shapes && says_only_content(r))
        event_shape_learn(&s->shape, e->data, r->slots, r->n_slots, (size_t)r->null_begin);
    return !error;
}

/* "[DONE]", the end of OpenAI's streams, which is no JSON; or what a cut stream has of it. */
static bool is_done(const struct answer_scan *s, const struct event *e)
{
    return (e->n_data == 6 || (e->is_unfinished && e->n_data < 6)) &&
           memcmp(s->head, "[DONE]", (size_t)e->n_data) == 0;
}

static void end_frame(struct answer_scan *s, const struct event *e)
{
    const struct answer_reading *r = &s->reading;
    struct answer_frame frame = {0};

    if (e->is_whole && read_shape(s, e))
        return;
    if (e->n_data > 0) {
        feed_frame(s, e->data);
        s->facts.n_frames++;
        if (is_done(s, e)) {
            s->facts.is_ended |= e->n_data == 6;
        } else if (end_json_frame(s, e)) {
            frame.null_begin = r->null_begin;
            frame.is_usage_only = r->has_usage && r->has_no_choices && !r->is_error;
        }
    } else if (e->has_unknown) {
        add_unreadable(s, e->end - e->begin); /* no frame at all, under the name of a stream */
    }
    s->is_scanning = false;
    tell_frame(s, e, &frame);
}

static void feed_events(struct answer_scan *s, struct str span)
{
    struct event e;
    enum event_step step;

    while ((step = event_stream_next(&s->stream, &span, &e)) != EVENT_STREAM_MORE) {
        if (step == EVENT_STREAM_DATA)
            feed_frame(s, e.data);
        else
            end_frame(s, &e);
    }
}

/* ---- Other answers ---- */

static void feed_json(struct answer_scan *s, struct str span)
{
    int error = json_scan_feed(&s->json, span);

    add_error(s, &s->reading);
    if (error || text_of(&s->reading) > 0)
        s->facts.has_content = true;
}

/* A document in which nothing is known: not the endpoint's. */
static bool is_foreign(const struct answer_scan *s)
{
    const struct answer_reading *r = &s->reading;

    return s->is_text && !r->has_text && text_of(r) == 0 && r->has == 0 && !r->has_usage &&
           !r->is_error && r->finish_len == 0 && s->facts.model_len == 0;
}

static void end_json(struct answer_scan *s)
{
    add_open_text(s);
    int error = json_scan_end(&s->json);

    s->is_scanning = false;
    if (s->n_bytes == 0)
        return;
    /* What stands behind the document does not make it less true. */
    if (error && error != JSON_TRUNCATED && error != JSON_TRAILING) {
        add_unreadable(s, s->n_bytes);
        return;
    }
    add_reading(s, &s->reading);
    s->facts.is_ended = error != JSON_TRUNCATED;
    if (s->facts.is_ended && is_foreign(s))
        add_unreadable(s, s->n_bytes);
}

void answer_scan_feed(struct answer_scan *s, struct str span)
{
    if (span.len == 0)
        return;
    s->n_bytes += span.len;
    if (s->kind == ANSWER_EVENTS)
        feed_events(s, span);
    else if (s->kind == ANSWER_JSON)
        feed_json(s, span);
    else
        s->facts.has_content = true;
}

void answer_scan_skip(struct answer_scan *s, uint64_t n_bytes)
{
    s->n_bytes += n_bytes;
    if (n_bytes > 0)
        s->facts.has_content = true;
    if (s->is_text)
        add_text(s, n_bytes);
}

void answer_scan_end(struct answer_scan *s)
{
    struct event e;

    if (s->has_ended)
        return;
    s->has_ended = true;
    if (s->kind == ANSWER_JSON)
        end_json(s);
    else if (s->kind == ANSWER_OTHER && s->n_bytes > 0)
        add_unreadable(s, s->n_bytes);
    else if (s->kind == ANSWER_EVENTS && event_stream_end(&s->stream, &e) == EVENT_STREAM_FRAME)
        end_frame(s, &e);
}

/* ---- Usage ---- */

static bool has_count(const struct answer_scan *s, enum answer_count count)
{
    return s->has & (1U << count);
}

/* A count that was not told is the difference of those that were. */
static void complete_usage(struct usage *u, bool is_text)
{
    if (u->has_total && u->has_input && !u->has_output) {
        u->output = MAX(u->total - u->input, (int64_t)0);
        u->has_output = true;
    } else if (u->has_total && !u->has_input && (u->has_output || !is_text)) {
        u->input = MAX(u->total - u->output, (int64_t)0);
        u->has_input = u->has_output = true;
    } else if (!u->has_total && u->has_input && u->has_output) {
        usage_set_total(u);
    }
}

void answer_scan_usage(const struct answer_scan *s, struct usage *ret_usage)
{
    const int64_t *n = s->counts;
    struct usage *u = ret_usage;

    *u = (struct usage){.is_invalid = s->is_invalid};
    /* Anthropic's input_tokens leave out what was read from the cache or written to it; a count
     * that was not told is 0 here. */
    u->input = n[ANSWER_INPUT] + n[ANSWER_CACHE_READ] + n[ANSWER_CACHE_CREATED];
    u->has_input = has_count(s, ANSWER_INPUT);
    u->cached_input = n[ANSWER_CACHED] + n[ANSWER_CACHE_READ];
    u->has_cached_input = has_count(s, ANSWER_CACHED) || has_count(s, ANSWER_CACHE_READ);
    u->cache_creation_input = n[ANSWER_CACHE_WRITTEN] + n[ANSWER_CACHE_CREATED];
    u->has_cache_creation_input =
        has_count(s, ANSWER_CACHE_WRITTEN) || has_count(s, ANSWER_CACHE_CREATED);
    u->has_output = has_count(s, ANSWER_OUTPUT) || has_count(s, ANSWER_ROWS);
    u->output = has_count(s, ANSWER_OUTPUT) ? n[ANSWER_OUTPUT] : n[ANSWER_ROWS];
    u->reasoning = n[ANSWER_REASONING];
    u->has_reasoning = has_count(s, ANSWER_REASONING);
    u->total = n[ANSWER_TOTAL];
    u->has_total = has_count(s, ANSWER_TOTAL);
    complete_usage(u, s->is_text);
}

uint64_t answer_scan_open_text_bytes(const struct answer_scan *s)
{
    return s->open_text_bytes;
}
