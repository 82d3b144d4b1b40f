/* From a hit of the JSON scan to the reading of a frame: one small function for each kind of value,
 * chosen by the table in answer_paths.c. A value of the wrong type is not taken; of a count it is
 * noted. Nothing here depends on the order of an object's members. */
#include "llm/answer_take.h"

#include "llm/answer_scan.h"

static void take_count(struct answer_reading *r, enum answer_count count,
                       const struct json_hit *hit)
{
    int64_t n;

    if (hit->type == JSON_NULL)
        return;
    if (hit->type != JSON_NUMBER || !usage_count(hit->number, &n)) {
        r->is_invalid = true;
        return;
    }
    r->has |= 1U << count;
    r->counts[count] = n;
}

static void take_usage(struct answer_reading *r, const struct json_hit *hit)
{
    if (hit->type == JSON_NULL)
        r->null_begin = hit->begin;
    else if (hit->type == JSON_OBJECT)
        r->has_usage = true;
    else
        r->is_invalid = true;
}

static void add_slot(struct answer_reading *r, enum event_slot_kind kind,
                     const struct json_hit *hit)
{
    size_t n_quote = hit->type == JSON_STRING ? 1 : 0;

    if (r->n_slots == EVENT_SHAPE_SLOTS) {
        r->is_unusual = true;
        return;
    }
    r->slots[r->n_slots++] = (struct event_slot){
        .kind = kind, .begin = (size_t)hit->begin + n_quote, .end = (size_t)hit->end - n_quote};
}

static void take_text(struct answer_reading *r, uint64_t *n_bytes, const struct json_hit *hit)
{
    if (hit->type != JSON_STRING)
        return;
    *n_bytes += hit->n_bytes;
    r->has_text = true;
    add_slot(r, EVENT_SLOT_TEXT, hit);
}

static void take_media(struct answer_reading *r, const struct json_hit *hit)
{
    if (hit->type != JSON_STRING || hit->n_bytes == 0)
        return;
    r->has_media = true;
    add_slot(r, EVENT_SLOT_FILLER, hit);
}

static void take_model(struct answer_facts *facts, const struct json_hit *hit)
{
    if (hit->type != JSON_STRING || hit->is_cut || facts->model_len > 0)
        return;
    facts->model_len = (uint16_t)MIN(hit->text.len, sizeof facts->model);
    memcpy(facts->model, hit->text.ptr, facts->model_len);
}

static void take_finish(struct answer_reading *r, const struct json_hit *hit)
{
    /* Those two are states of a Responses object that goes on. */
    if (hit->type != JSON_STRING || str_eq(hit->text, STR("queued")) ||
        str_eq(hit->text, STR("in_progress")))
        return;
    r->finish_len = (uint8_t)MIN(hit->text.len, sizeof r->finish);
    memcpy(r->finish, hit->text.ptr, r->finish_len);
}

static void take_error(struct answer_reading *r, const struct json_hit *hit)
{
    if (hit->type == JSON_NULL || hit->type == JSON_FALSE || r->is_error)
        return;
    r->is_error = true;
    r->is_error_first = r->text_bytes + r->delta_bytes == 0;
}

/* `type` of Anthropic's, Responses' and transcription's events, `object` of vLLM's errors. */
static void take_type(struct answer_reading *r, const struct json_hit *hit)
{
    static const struct {
        struct str name;
        bool is_end, is_error, is_no_text;
    } types[] = {
        {STR("message_stop"), true, false, false},
        {STR("error"), false, true, false},
        {STR("response.completed"), true, false, true},
        {STR("response.incomplete"), true, false, true},
        {STR("response.failed"), true, true, true},
        {STR("transcript.text.done"), true, false, true},
        {STR("speech.audio.done"), true, false, true},
        {STR("image_generation.completed"), true, false, true},
    };

    if (hit->type != JSON_STRING)
        return;
    r->is_no_text |= str_ends_with(hit->text, STR("audio.delta"));
    for (size_t i = 0; i < N_ELEMENTS(types); i++) {
        if (!str_eq(hit->text, types[i].name))
            continue;
        r->is_end |= types[i].is_end;
        r->is_no_text |= types[i].is_no_text;
        if (types[i].is_error)
            take_error(r, hit);
    }
}

/* The most that any part of the answer says: which of several tensors is the batch is the model's
 * to know. */
static void note_rows(struct answer_reading *r, int64_t n)
{
    r->counts[ANSWER_ROWS] = MAX(r->counts[ANSWER_ROWS], n);
    r->has |= 1U << ANSWER_ROWS;
}

/* Told behind its elements. A scalar is one row. */
static void take_shape(struct answer_reading *r, const struct json_hit *hit)
{
    r->is_in_shape = false;
    if (hit->type == JSON_ARRAY && hit->n_items == 0)
        note_rows(r, 1);
}

/* Rows of a tensor are its first dimension. */
static void take_length(struct answer_reading *r, const struct json_hit *hit)
{
    int64_t n;

    if (r->is_in_shape)
        return;
    r->is_in_shape = true;
    if (hit->type == JSON_NUMBER && usage_count(hit->number, &n))
        note_rows(r, n);
    else
        r->is_invalid = true;
}

static void take_rows(struct answer_reading *r, const struct json_hit *hit)
{
    if (hit->type == JSON_ARRAY && hit->n_items <= LIMIT_USAGE_TOKENS)
        note_rows(r, (int64_t)hit->n_items);
}

void answer_take(void *context, const struct json_hit *hit)
{
    struct answer_scan *s = context;
    struct answer_reading *r = &s->reading;
    const struct answer_path *row = &s->paths->rows[hit->path];

    switch (row->take) {
    case ANSWER_TAKE_COUNT:
        take_count(r, row->count, hit);
        break;
    case ANSWER_TAKE_USAGE:
        take_usage(r, hit);
        break;
    case ANSWER_TAKE_CHOICES:
        r->has_no_choices = hit->type == JSON_ARRAY && hit->n_items == 0;
        break;
    case ANSWER_TAKE_MODEL:
        take_model(&s->facts, hit);
        break;
    case ANSWER_TAKE_FINISH:
        take_finish(r, hit);
        break;
    case ANSWER_TAKE_TEXT:
        take_text(r, &r->text_bytes, hit);
        break;
    case ANSWER_TAKE_DELTA:
        take_text(r, &r->delta_bytes, hit);
        break;
    case ANSWER_TAKE_VALUE:
        if (hit->type == JSON_OBJECT)
            r->text_bytes += hit->end - hit->begin;
        break;
    case ANSWER_TAKE_FILLER:
        if (hit->type == JSON_STRING)
            add_slot(r, EVENT_SLOT_FILLER, hit);
        break;
    case ANSWER_TAKE_MEDIA:
        take_media(r, hit);
        break;
    case ANSWER_TAKE_NUMBER:
        if (hit->type == JSON_NUMBER)
            add_slot(r, EVENT_SLOT_NUMBER, hit);
        break;
    case ANSWER_TAKE_ERROR:
        take_error(r, hit);
        break;
    case ANSWER_TAKE_TYPE:
        take_type(r, hit);
        break;
    case ANSWER_TAKE_ROWS:
        take_rows(r, hit);
        break;
    case ANSWER_TAKE_SHAPE:
        take_shape(r, hit);
        break;
    case ANSWER_TAKE_LENGTH:
        take_length(r, hit);
        break;
    }
}
