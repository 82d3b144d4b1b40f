/* Fuzz target of the HTTP/1 codec and the path. The first byte says what to play: bit 7 responses,
 * bit 6 an answer to HEAD, the rest where to cut. Beyond not crashing, three properties hold:
 *   - events and errors are the same however the bytes are cut;
 *   - a request or answer that we read and write again reads the same, however it spells its names;
 *   - a normalized path is its own normal form. */
#include "base/assert.h"
#include "http/h1_play.h"
#include "http/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_cuts(struct h1_play *play, struct str bytes, size_t cut)
{
    h1_play_run(play, bytes, bytes.len);
    struct buf whole = play->text;

    play->text = (struct buf){0};
    h1_play_run(play, bytes, bytes.len > 0 ? cut % bytes.len : 0);
    ASSERT(str_eq(buf_str(&whole), buf_str(&play->text)));
    if (bytes.len < 2048) {
        h1_play_run(play, bytes, 0);
        ASSERT(str_eq(buf_str(&whole), buf_str(&play->text)));
    }
    buf_deinit(&whole);
    buf_deinit(&play->text);
}

/* The head of `bytes` as a line of text, and written again into `ret_bytes`. */
static bool read_and_write(struct str bytes, struct buf *ret_text, struct buf *ret_bytes)
{
    struct h1_play play = {
        .options = {.allows_underscore = true, .keeps_case = true, .scheme = STR("http")}};
    struct arena arena;
    struct h1 c;
    struct http_request q;
    struct h1_event event;

    arena_init(&arena, 16384);
    h1_init(&c, &play.options);
    int r = h1_next(&c, &bytes, &arena, &q, NULL, &event);

    if (r == H1_EVENT && q.minor_version == 1 && q.headers.n < 120) {
        q.is_keep_alive = true; /* hop by hop: not written */
        q.expects_continue = false;
        h1_play_request(&play, &q);
        h1_format_request(ret_bytes, &q);
    }
    *ret_text = play.text;
    arena_deinit(&arena);
    return r == H1_EVENT;
}

static void check_round_trip(struct str bytes)
{
    struct buf first = {0}, second = {0}, written = {0}, again = {0};

    if (read_and_write(bytes, &first, &written) && written.len > 0 &&
        !(written.len > 60000 || first.len > 60000)) {
        ASSERT(read_and_write(buf_str(&written), &second, &again));
        /* An upgrade takes the place of TE. */
        ASSERT(str_eq(buf_str(&first), buf_str(&second)) ||
               str_find(buf_str(&first), STR(" te upgrade=")) >= 0);
    }
    buf_deinit(&first);
    buf_deinit(&second);
    buf_deinit(&written);
    buf_deinit(&again);
}

/* The same of an answer. What is hop by hop is not looked at. */
static bool reread_response(struct str bytes, enum http_method answered, struct buf *ret_text,
                            struct buf *ret_bytes)
{
    struct h1_play play = {.options = {.is_client = true, .allows_underscore = true}};
    struct http_response q;
    struct h1_event event;
    struct arena arena;
    struct h1 c;

    arena_init(&arena, 16384);
    h1_init(&c, &play.options);
    h1_expect_response_to(&c, answered);
    int r = h1_next(&c, &bytes, &arena, NULL, &q, &event);

    if (r == H1_EVENT && q.headers.n < 120) {
        q.is_keep_alive = true;
        q.minor_version = 1;
        if (q.reason.len == 0)
            q.reason = STR("x");
        h1_play_response(&play, &q);
        h1_format_response(ret_bytes, &q, true);
    }
    *ret_text = play.text;
    arena_deinit(&arena);
    return r == H1_EVENT;
}

static void check_response_round_trip(struct str bytes, enum http_method answered)
{
    struct buf first = {0}, second = {0}, written = {0}, again = {0};

    if (reread_response(bytes, answered, &first, &written) && written.len > 0 &&
        written.len < 60000) {
        ASSERT(reread_response(buf_str(&written), answered, &second, &again));
        ASSERT(str_eq(buf_str(&first), buf_str(&second)));
        ASSERT(str_eq(buf_str(&written), buf_str(&again)));
    }
    buf_deinit(&first);
    buf_deinit(&second);
    buf_deinit(&written);
    buf_deinit(&again);
}

static void check_path(struct str raw)
{
    struct arena arena;
    struct str path, again;
    struct path_found found;

    arena_init(&arena, 4096);
    if (path_read(raw, PATH_UNESCAPES_SLASHES, &arena, &path, &found) == 0) {
        ASSERT(str_find(path, STR("//")) < 0 && str_find(path, STR("%2F")) < 0);
        ASSERT(path_normalize(path, &arena, &again) == 0 && str_eq(path, again));
        ASSERT(found.has_escaped_slash == (path_normalize(raw, &arena, &again) != 0));
    }
    if (path_read(raw, PATH_KEEPS_EMPTY, &arena, &path, &found) == 0) {
        bool has_empty = found.has_empty_segment;

        ASSERT(path.len > 0 && path.ptr[0] == '/' && str_find(path, STR("/../")) < 0);
        ASSERT(path_read(path, PATH_KEEPS_EMPTY, &arena, &again, &found) == 0);
        ASSERT(str_eq(path, again));
        ASSERT(has_empty || (path_normalize(raw, &arena, &again) == 0 && str_eq(path, again)));
    } else {
        ASSERT(path_normalize(raw, &arena, &path) != 0);
    }
    if (path_normalize(raw, &arena, &path) == 0) {
        ASSERT(path.len > 0 && path.ptr[0] == '/');
        ASSERT(str_find(path, STR("//")) < 0 && str_find(path, STR("/../")) < 0);
        ASSERT(path_normalize(path, &arena, &again) == 0 && str_eq(path, again));
    }
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    struct str rest = str_make(bytes + 1, size - 1);
    struct h1_play play = {
        .options.is_client = (bytes[0] & 0x80) != 0,
        .options.scheme = STR("http"),
        .answered = bytes[0] & 0x40 ? HTTP_METHOD_HEAD : HTTP_METHOD_GET,
        .is_eof = true,
    };

    check_cuts(&play, rest, bytes[0] & 0x3f);
    if (play.options.is_client)
        check_response_round_trip(rest, play.answered);
    else
        check_round_trip(rest);
    check_path(rest);
    return 0;
}
