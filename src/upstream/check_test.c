/* Questions to an authorizer and its answers, byte by byte: the wire is written and read here a
 * second time, by hand. */
#include "upstream/check.h"

#include "test/harness/test.h"

/* ---- a second writer and reader of the wire ---- */

static void put_number(struct buf *out, unsigned field, uint64_t value)
{
    uint64_t rest = (uint64_t)field << 3;

    for (int i = 0; i < 2; i++) {
        for (; rest >= 0x80; rest >>= 7)
            buf_append_char(out, (char)(rest | 0x80));
        buf_append_char(out, (char)rest);
        rest = value;
    }
}

static void put_bytes(struct buf *out, unsigned field, struct str bytes)
{
    buf_append_char(out, (char)(field << 3 | 2));
    CHECK(bytes.len < 0x4000);
    if (bytes.len >= 0x80)
        buf_append_char(out, (char)(bytes.len | 0x80));
    buf_append_char(out, (char)(bytes.len >= 0x80 ? bytes.len >> 7 : bytes.len));
    buf_append_str(out, bytes);
}

static void put_part(struct buf *out, unsigned field, struct buf *part)
{
    put_bytes(out, field, buf_str(part));
    buf_deinit(part);
}

static uint64_t take_number(struct str *rest)
{
    uint64_t value = 0;

    for (unsigned shift = 0;; shift += 7) {
        unsigned char c = (unsigned char)rest->ptr[0];

        CHECK(rest->len > 0 && shift < 64);
        *rest = str_slice(*rest, 1, rest->len);
        value |= (uint64_t)(c & 0x7F) << shift;
        if (!(c & 0x80))
            return value;
    }
}

/* Field number `nth` (from 0) of `message` with this number; numbers are told as their text. */
static struct str find_field(struct str message, unsigned field, unsigned nth, uint64_t *ret_number)
{
    while (message.len > 0) {
        uint64_t key = take_number(&message);
        uint64_t value = take_number(&message);
        struct str bytes = STR_NULL;

        CHECK((key & 7) == 0 || (key & 7) == 2);
        if ((key & 7) == 2) {
            bytes = str_slice(message, 0, value);
            message = str_slice(message, value, message.len);
        }
        if (key >> 3 == field && nth-- == 0) {
            *ret_number = value;
            return bytes;
        }
    }
    *ret_number = UINT64_MAX;
    return STR_NULL;
}

static struct str field(struct str message, unsigned number)
{
    uint64_t ignored;

    return find_field(message, number, 0, &ignored);
}

/* The value of a key in a map of field `number`. */
static struct str entry(struct str message, unsigned number, const char *key)
{
    uint64_t ignored;
    struct str e;

    for (unsigned i = 0; (e = find_field(message, number, i, &ignored)).ptr; i++) {
        if (str_eq(field(e, 1), str_of(key)))
            return field(e, 2).ptr ? field(e, 2) : STR("");
    }
    return STR_NULL;
}

/* ---- questions ---- */

static void make_request(struct http_request *q, struct arena *a)
{
    arena_init(a, 4096);
    *q = (struct http_request){.method = HTTP_METHOD_POST,
                               .method_text = STR("POST"),
                               .scheme = STR("https"),
                               .authority = STR("front.test:443"),
                               .path = STR("/a.B/C"),
                               .query = STR("x=1"),
                               .body = HTTP_BODY_LENGTH,
                               .content_length = 300,
                               .is_http2 = true,
                               .minor_version = 1};
    http_headers_init(&q->headers, a);
    http_headers_add_id(&q->headers, HEADER_X_REQUEST_ID, STR("id-1"));
    http_headers_add(&q->headers, STR("x-a"), STR("1"));
    http_headers_add_id(&q->headers, HEADER_AUTHORIZATION, STR("Bearer t"));
    http_headers_add(&q->headers, STR("x-a"), STR("2"));
    http_headers_add(&q->headers, STR("x-odd"),
                     STR("n\xC3\xB6 \xF0\x9F\x98\x80 \xFF\xC3 \xED\xA0\x80"));
}

/* The CheckRequest's attributes, of the bytes in `out`. */
static struct str ask(const struct http_request *q, const struct check_scope *scope,
                      struct buf *out)
{
    struct check_subject subject = {.request = q,
                                    .source_ip = STR("192.0.2.1"),
                                    .source_port = 1234,
                                    .principal = STR("spiffe://a.test/web"),
                                    .destination = STR("[2001:db8::9]:443"),
                                    .wall_us = 1700000000123456};

    buf_append_str(out, STR("before"));
    check_format(&subject, scope, out);
    struct str message = str_slice(buf_str(out), strlen("before"), out->len);

    CHECK_INT(message.ptr[0], 0);
    CHECK_INT((size_t)(unsigned char)message.ptr[3] << 8 | (unsigned char)message.ptr[4],
              message.len - 5);
    return field(str_slice(message, 5, message.len), 1);
}

TEST(a_question_tells_the_request_its_peers_and_its_time)
{
    struct check_context contexts[] = {{STR("realm"), STR("gold")}, {STR("empty"), STR("")}};
    struct check_scope scope = {.contexts = contexts, .n_contexts = 2};
    struct http_request q;
    struct arena a;
    struct buf out = {0};
    uint64_t number;

    make_request(&q, &a);
    struct str attributes = ask(&q, &scope, &out);
    struct str source = field(field(field(attributes, 1), 1), 1);
    struct str destination = field(field(field(attributes, 2), 1), 1);
    struct str request = field(attributes, 4);
    struct str http = field(request, 2);

    CHECK_STR(field(source, 2), "192.0.2.1");
    find_field(source, 3, 0, &number);
    CHECK_INT(number, 1234);
    CHECK_STR(field(field(attributes, 1), 4), "spiffe://a.test/web");
    CHECK_STR(field(destination, 2), "2001:db8::9");
    find_field(destination, 3, 0, &number);
    CHECK_INT(number, 443);
    find_field(field(request, 1), 1, 0, &number);
    CHECK_INT(number, 1700000000);
    find_field(field(request, 1), 2, 0, &number);
    CHECK_INT(number, 123456000);
    CHECK_STR(field(http, 1), "id-1");
    CHECK_STR(field(http, 2), "POST");
    CHECK_STR(field(http, 4), "/a.B/C?x=1");
    CHECK_STR(field(http, 5), "front.test:443");
    CHECK_STR(field(http, 6), "https");
    CHECK_STR(field(http, 10), "HTTP/2");
    find_field(http, 9, 0, &number);
    CHECK_INT(number, 300);
    CHECK_STR(entry(attributes, 10, "realm"), "gold");
    CHECK_STR(entry(attributes, 10, "empty"), "");
    CHECK(!entry(attributes, 10, "other").ptr);
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(a_question_tells_all_headers_or_those_that_are_named)
{
    struct str names[] = {STR("x-a"), STR("x-absent")};
    struct check_scope all = {0}, some = {.headers = names, .n_headers = 2};
    struct http_request q;
    struct arena a;
    struct buf out = {0};

    make_request(&q, &a);
    struct str http = field(field(ask(&q, &all, &out), 4), 2);

    CHECK_STR(entry(http, 3, ":method"), "POST");
    CHECK_STR(entry(http, 3, ":path"), "/a.B/C?x=1");
    CHECK_STR(entry(http, 3, ":authority"), "front.test:443");
    CHECK_STR(entry(http, 3, "x-a"), "1, 2");
    CHECK_STR(entry(http, 3, "authorization"), "Bearer t");
    /* What is no UTF-8 would make the whole question unreadable. */
    CHECK_STR(entry(http, 3, "x-odd"), "n\xC3\xB6 \xF0\x9F\x98\x80 !! !!!");
    buf_clear(&out);
    http = field(field(ask(&q, &some, &out), 4), 2);
    CHECK_STR(entry(http, 3, "x-a"), "1, 2");
    CHECK(!entry(http, 3, "authorization").ptr && !entry(http, 3, ":path").ptr);
    buf_deinit(&out);
    arena_deinit(&a);
}

/* ---- answers ---- */

/* A HeaderValueOption; `append` and `action` below 0: not given. */
static void put_header(struct buf *out, unsigned number, const char *name, const char *value,
                       int append, int action)
{
    struct buf header = {0}, option = {0}, flag = {0};

    put_bytes(&header, 1, str_of(name));
    put_bytes(&header, 2, str_of(value));
    put_part(&option, 1, &header);
    if (append >= 0) {
        if (append > 0)
            put_number(&flag, 1, 1);
        put_part(&option, 2, &flag);
    }
    if (action >= 0)
        put_number(&option, 3, (uint64_t)action);
    put_part(out, number, &option);
}

static void put_status(struct buf *out, uint64_t code)
{
    struct buf status = {0};

    if (code > 0)
        put_number(&status, 1, code);
    put_part(out, 1, &status);
}

/* `message` with its prefix; it is freed. */
static int parse(struct buf *message, struct arena *a, struct check_answer *ret,
                 const char **ret_why)
{
    struct buf content = {0};
    int r;

    buf_append(&content, "\0\0\0", 3);
    buf_append_char(&content, (char)(message->len >> 8));
    buf_append_char(&content, (char)message->len);
    buf_append_str(&content, buf_str(message));
    r = check_parse(buf_str(&content), a, ret, ret_why);
    buf_deinit(&content);
    buf_deinit(message);
    return r;
}

TEST(a_yes_edits_the_request_and_the_answer)
{
    static const struct {
        int append, action;
        enum check_action expected;
    } rows[] = {{-1, -1, CHECK_SET}, {0, -1, CHECK_SET},
                {1, -1, CHECK_ADD},  {-1, 1, CHECK_ADD_IF_ABSENT},
                {-1, 2, CHECK_SET},  {-1, 3, CHECK_SET_IF_PRESENT},
                {1, 3, CHECK_ADD},   {-1, 9, CHECK_SET}};
    struct buf message = {0}, yes = {0};
    struct check_answer answer;
    const char *why;
    struct arena a;

    arena_init(&a, 4096);
    put_status(&message, 0);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        put_header(&yes, 2, "X-User", " alice ", rows[i].append, rows[i].action);
    put_bytes(&yes, 5, STR("X-Gone"));
    put_header(&yes, 6, "set-cookie", "a=1", -1, -1);
    put_part(&message, 3, &yes);
    CHECK_INT(parse(&message, &a, &answer, &why), 0);
    CHECK(answer.is_allowed);
    CHECK_INT(answer.request_edits.n, N_ELEMENTS(rows));
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        CHECK_INT(answer.request_edits.items[i].action, rows[i].expected);
        CHECK_STR(answer.request_edits.items[i].name, "x-user");
        CHECK_STR(answer.request_edits.items[i].value, "alice");
    }
    CHECK_INT(answer.request_removals.n, 1);
    CHECK_STR(answer.request_removals.items[0], "x-gone");
    CHECK_INT(answer.answer_edits.n, 1);
    CHECK_INT(answer.answer_edits.items[0].action, CHECK_ADD);
    arena_deinit(&a);
}

TEST(a_yes_on_terms_that_are_not_met_is_not_taken)
{
    static const struct {
        unsigned field;
        const char *name;
        const char *value;
    } rows[] = {{2, "content-length", "1"},
                {2, "Content_Length", "1"},
                {2, "host", "x"},
                {2, ":path", "/"},
                {2, "", "x"},
                {2, "a b", "x"},
                {2, "x", "a\r\nb: c"},
                {6, "transfer-encoding", "x"},
                {7, "q", "1"}};
    struct check_answer answer;
    const char *why;
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf message = {0}, yes = {0};

        put_status(&message, 0);
        put_header(&yes, rows[i].field, rows[i].name, rows[i].value, -1, -1);
        put_part(&message, 3, &yes);
        CHECK_INT(parse(&message, &a, &answer, &why), CHECK_UNSUPPORTED);
    }
    for (unsigned number = 5; number <= 8; number += 3) {
        struct buf message = {0}, yes = {0};

        put_bytes(&yes, number, STR("host"));
        put_part(&message, 3, &yes);
        CHECK_INT(parse(&message, &a, &answer, &why), CHECK_UNSUPPORTED);
    }
    arena_deinit(&a);
}

TEST(a_no_stays_a_no_whatever_else_it_says)
{
    static const struct {
        uint64_t code, http;
        unsigned field; /* of the answer inside; 0: none */
        unsigned status;
    } rows[] = {{7, 0, 0, 403},   {7, 401, 2, 401}, {16, 302, 2, 302}, {7, 200, 2, 403},
                {7, 999, 2, 403}, {0, 401, 2, 401}, {7, 0, 3, 403}};
    struct check_answer answer;
    const char *why;
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf message = {0}, no = {0};

        put_status(&message, rows[i].code);
        if (rows[i].field == 2) {
            put_status(&no, rows[i].http);
            put_header(&no, 2, "x-why", "late", -1, -1);
            put_header(&no, 2, "content-length", "5", -1, -1);
            put_bytes(&no, 3, STR("go away"));
        }
        if (rows[i].field > 0)
            put_part(&message, rows[i].field, &no);
        CHECK_INT(parse(&message, &a, &answer, &why), 0);
        CHECK(!answer.is_allowed);
        CHECK_INT(answer.status, rows[i].status);
        CHECK_STR(answer.body, rows[i].field == 2 ? "go away" : "");
        CHECK_INT(answer.answer_edits.n, rows[i].field == 2 ? 1 : 0);
    }
    arena_deinit(&a);
}

TEST(what_is_no_answer_says_nothing)
{
    static const struct str rows[] = {
        {"", 0},
        {"\0\0\0\0", 4},
        {"\0\0\0\0\0", 5},          /* a message without anything */
        {"\1\0\0\0\2\12\0", 7},     /* compressed */
        {"\0\0\0\0\3\12\0", 7},     /* cut */
        {"\0\0\0\0\2\12\0\0", 8},   /* something behind it */
        {"\0\0\0\0\2\12\5", 7},     /* a part that is longer than the message */
        {"\0\0\0\0\3\12\1\377", 8}, /* no status */
        {"\377\377\377\377\377\12\0", 7},
    };
    struct check_answer answer;
    const char *why;
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        CHECK_INT(check_parse(rows[i], &a, &answer, &why), CHECK_MALFORMED);
        CHECK(!answer.is_allowed && why != NULL);
    }
    CHECK_INT(check_parse(str_make("\0\0\0\0\2\12\0", 7), &a, &answer, &why), 0);
    CHECK(answer.is_allowed);
    arena_deinit(&a);
}

TEST(edits_set_add_or_leave_alone)
{
    static const struct {
        enum check_action action;
        const char *name;
        const char *expected;
    } rows[] = {{CHECK_SET, "x", "new"},
                {CHECK_SET, "y", "new"},
                {CHECK_ADD, "x", "1, 2, new"},
                {CHECK_ADD, "y", "new"},
                {CHECK_ADD_IF_ABSENT, "x", "1, 2"},
                {CHECK_ADD_IF_ABSENT, "y", "new"},
                {CHECK_SET_IF_PRESENT, "x", "new"},
                {CHECK_SET_IF_PRESENT, "y", ""}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct check_edit e = {rows[i].action, str_of(rows[i].name), STR("new")};
        struct http_headers h;
        struct arena a;

        arena_init(&a, 512);
        http_headers_init(&h, &a);
        http_headers_add(&h, STR("x"), STR("1"));
        http_headers_add(&h, STR("x"), STR("2"));
        check_edit_apply(&e, &h);
        CHECK_STR(http_headers_joined(&h, str_of(rows[i].name)), rows[i].expected);
        arena_deinit(&a);
    }
}
