/* Form data: fields are found, ambiguous forms are refused, and the cut of the body never matters.
 */
#include "llm/multipart.h"

#include "test/harness/test.h"

#define TYPE     "multipart/form-data; boundary=b0"
#define FIELD(n) "--b0\r\nContent-Disposition: form-data; name=\"" n "\"\r\n\r\n"
#define MODEL    FIELD("model") "whisper-1\r\n"
#define END      "--b0--\r\n"
#define DISP(d)  "--b0\r\nContent-Disposition: " d "\r\n\r\nwhisper-1\r\n" END
#define FILE_PART                                                                                  \
    "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"                \
    "Content-Type: audio/wav\r\n\r\n\r\n--b\r\n\n\r-- \r\r\n--b1\r\n-b0--\r\n"

/* Fed in pieces of `n` bytes. */
static int read_form(struct multipart *m, const char *type, struct str body, size_t n)
{
    int code = multipart_init(m, str_of(type));

    for (size_t at = 0; code == 0 && at < body.len; at += n)
        code = multipart_feed(m, str_slice(body, at, at + n));
    return code != 0 ? code : multipart_finish(m);
}

/* In one piece; and checks that every other cut says the same. */
static int read_all(struct multipart *m, const char *type, struct str body)
{
    struct multipart other;
    int code = read_form(m, type, body, body.len + 1);

    for (size_t n = 1; n < body.len && n < 40; n++) {
        int again = read_form(&other, type, body, n);

        CHECK_MSG(again == code, "in pieces of %zu: %d, not %d", n, again, code);
        CHECK(str_eq(multipart_model(&other), multipart_model(m)));
        CHECK(str_eq(multipart_format(&other), multipart_format(m)));
        CHECK(multipart_is_stream(&other) == multipart_is_stream(m));
        CHECK(code != 0 || other.offset == body.len);
        CHECK(code != 0 || other.model_offset == m->model_offset);
    }
    return code;
}

TEST(fields_are_found_among_files)
{
    static const struct {
        const char *body;
        const char *model;
        const char *format;
        bool is_stream;
    } rows[] = {
        {MODEL END, "whisper-1", "", false},
        {FILE_PART MODEL END, "whisper-1", "", false},
        {MODEL FILE_PART END, "whisper-1", "", false},
        {FIELD("stream") "true\r\n" MODEL FIELD("response_format") "verbose_json\r\n" END,
         "whisper-1", "verbose_json", true},
        {FIELD("stream") "False\r\n" MODEL END, "whisper-1", "", false},
        {FIELD("Model") "x\r\n" FIELD("model ") "y\r\n" FIELD("model[]") "z\r\n" MODEL END,
         "whisper-1", "", false},
        {"a preamble\r\n" MODEL END "an epilogue\r\n--b", "whisper-1", "", false},
        {"\r\n" MODEL "--b0--", "whisper-1", "", false},
        {"--b0 \t\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n--b0-- \t\r\n", "m", "",
         false},
        {"--b0\r\ncontent-type: text/plain; charset=utf-8\r\nCONTENT-DISPOSITION: Form-Data ; "
         "NAME=\"model\" ;\r\nContent-Transfer-Encoding: 8bit\r\n\r\norg/m:8b\r\n" END,
         "org/m:8b", "", false},
        {FIELD("model") "--b\r\n" END, "--b", "", false},
        {FIELD("model") "-\r\n" END, "-", "", false},
        {FIELD("empty") "\r\n" FIELD("") "\r\n" MODEL END, "whisper-1", "", false},
        {"--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\\\x\\y.wav\"; "
         "filename*=utf-8''x.wav\r\n\r\n\r\n" MODEL END,
         "whisper-1", "", false},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct multipart m;
        int code = read_all(&m, TYPE, str_of(rows[i].body));

        CHECK_MSG(code == 0, "row %zu: %s", i, multipart_condition_sentence(code));
        CHECK(multipart_has_model(&m));
        CHECK_STR(multipart_model(&m), rows[i].model);
        CHECK_STR(multipart_format(&m), rows[i].format);
        CHECK_INT(multipart_is_stream(&m), rows[i].is_stream);
    }
}

TEST(broken_and_ambiguous_forms_are_refused)
{
    static const struct {
        const char *body;
        int condition;
    } rows[] = {
        {"", MULTIPART_TRUNCATED},
        {"--b0", MULTIPART_TRUNCATED},
        {"no form at all", MULTIPART_TRUNCATED},
        {MODEL, MULTIPART_TRUNCATED},
        {MODEL "--b0", MULTIPART_TRUNCATED},
        {MODEL "--b0-", MULTIPART_TRUNCATED},
        {MODEL "--b0--\r", MULTIPART_TRUNCATED},
        {MODEL "--b0\r\nContent-Dis", MULTIPART_TRUNCATED},
        {MODEL FIELD("prompt") "no end", MULTIPART_TRUNCATED},
        {END, MULTIPART_NO_MODEL},
        {FILE_PART END, MULTIPART_NO_MODEL},
        /* Given twice. */
        {MODEL MODEL END, MULTIPART_DUPLICATE_MODEL},
        {MODEL FILE_PART FIELD("model") "whisper-1\r\n" END, MULTIPART_DUPLICATE_MODEL},
        {FIELD("stream") "true\r\n" FIELD("stream") "true\r\n" END, MULTIPART_DUPLICATE_STREAM},
        {FIELD("response_format") "a\r\n" FIELD("response_format") "a\r\n" END,
         MULTIPART_DUPLICATE_FORMAT},
        /* Values. */
        {FIELD("model") "\r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("model") " m\r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("model") "m \r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("model") "a\r\nb\r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("model") "a\nb\r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("model") "a\r\r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("model") "\r\nb\r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("model") "m\xc3\xa9\r\n" END, MULTIPART_BAD_MODEL},
        {FIELD("stream") "maybe\r\n" END, MULTIPART_BAD_STREAM},
        {FIELD("stream") "\r\n" END, MULTIPART_BAD_STREAM},
        {FIELD("response_format") "a\tb\r\n" END, MULTIPART_BAD_FORMAT},
        /* Delimiters that only some parsers see. */
        {FIELD("prompt") "x\n" MODEL END, MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "x\r\n--b0x\r\n" END, MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "x\r\n--b0\n", MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "x\r\n--b0-x\r\n", MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "x\r\n--b0--x\r\n", MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "x\r\n--b0--\n", MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "x\r\n--b0 x\r\n", MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "x\r\n--b0\rx", MULTIPART_BAD_DELIMITER},
        {FIELD("prompt") "--b0\r\n", MULTIPART_BAD_DELIMITER},
        {FIELD("model") "--b0\r\n", MULTIPART_BAD_DELIMITER},
        {"preamble\n" MODEL END, MULTIPART_BAD_DELIMITER},
        {MODEL END MODEL END, MULTIPART_BAD_DELIMITER},
        {MODEL END "x\r\n" MODEL END, MULTIPART_BAD_DELIMITER},
        {MODEL END "x\n" MODEL END, MULTIPART_BAD_DELIMITER},
        /* Heads. */
        {"--b0\r\n\r\nx\r\n" END, MULTIPART_BAD_PART},
        {"--b0\r\nContent-Type: text/plain\r\n\r\nx\r\n" END, MULTIPART_BAD_PART},
        {"--b0\r\nContent-Disposition: form-data; name=\"model\"\n\r\nx\r\n" END,
         MULTIPART_BAD_PART},
        {"--b0\r\nContent-Disposition: form-data;\r\n name=\"model\"\r\n\r\nx\r\n" END,
         MULTIPART_BAD_PART},
        {"--b0\r\nContent-Disposition : form-data; name=\"model\"\r\n\r\nx\r\n" END,
         MULTIPART_BAD_PART},
        {"--b0\r\nContent-Disposition: form-data; name=\"a\"\r\n"
         "Content-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n" END,
         MULTIPART_BAD_PART},
        {"--b0\r\nX: a\rb\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n" END,
         MULTIPART_BAD_PART},
        {"--b0\r\nContent-Transfer-Encoding: base64\r\n"
         "Content-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n" END,
         MULTIPART_BAD_PART},
        {DISP("form-data"), MULTIPART_BAD_PART},
        {DISP("form-data; name"), MULTIPART_BAD_PART},
        {DISP("form-data; name="), MULTIPART_BAD_PART},
        {DISP("form-data; name=a b"), MULTIPART_BAD_PART},
        {DISP("form-data; name=\"a"), MULTIPART_BAD_PART},
        {DISP("form-data; name=\"a\"x"), MULTIPART_BAD_PART},
        {DISP("form-data; name = \"a\""), MULTIPART_BAD_PART},
        {DISP("form-data, name=\"a\""), MULTIPART_BAD_PART},
        {DISP("attachment; name=\"a\""), MULTIPART_BAD_PART},
        {DISP("form-datax; name=\"a\""), MULTIPART_BAD_PART},
        {DISP("form-data; name=\"a\"; name=\"model\""), MULTIPART_BAD_PART},
        {DISP("form-data; name=\"mo\\del\""), MULTIPART_BAD_PART},
        {DISP("form-data; name=\"a\"; name*=utf-8''model"), MULTIPART_BAD_PART},
        {DISP("form-data; name*0=mo; name*1=del"), MULTIPART_BAD_PART},
        {DISP("form-data; name=\"model\"; filename=\"x\""), MULTIPART_BAD_PART},
        {DISP("form-data; name=\"model\"; filename*=utf-8''x"), MULTIPART_BAD_PART},
        {DISP("form-data; filename=\"\\\"; name=model; x=\"; name=\"a\""), MULTIPART_BAD_PART},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct multipart m;
        int code = read_all(&m, TYPE, str_of(rows[i].body));

        CHECK_MSG(code == rows[i].condition, "row %zu: %d, not %d: %s", i, code, rows[i].condition,
                  rows[i].body);
        CHECK_INT(multipart_feed(&m, STR("x")), code);
        CHECK_INT(multipart_finish(&m), code);
    }
}

TEST(boundary_comes_from_the_content_type)
{
    static const struct {
        const char *type;
        int condition;
    } rows[] = {
        {"multipart/form-data; boundary=b0", 0},
        {"Multipart/Form-Data;BOUNDARY=\"b0\"", 0},
        {" multipart/form-data ; charset=UTF-8; x=y; boundary=b0;", 0},
        {"multipart/form-data; boundary=\"b0\"; charset=\"us-ascii\"", 0},
        {"", MULTIPART_NOT_FORM_DATA},
        {"application/json", MULTIPART_NOT_FORM_DATA},
        {"multipart/mixed; boundary=b0", MULTIPART_NOT_FORM_DATA},
        {"multipart/form-datax; boundary=b0", MULTIPART_NOT_FORM_DATA},
        {"multipart/form-data; charset=utf-7; boundary=b0", MULTIPART_NOT_FORM_DATA},
        {"multipart/form-data", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=\"\"", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=\"b0", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=\"b0 \"", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=\"b\\0\"", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=b*0", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=b0; boundary=b1", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=b0; boundary*=utf-8''b1", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary=b0, multipart/form-data", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data boundary=b0", MULTIPART_BAD_BOUNDARY},
        {"multipart/form-data; boundary="
         "1234567890123456789012345678901234567890123456789012345678901234567890x",
         MULTIPART_BAD_BOUNDARY},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct multipart m;
        int code = read_form(&m, rows[i].type, STR(MODEL END), 7);

        CHECK_MSG(code == rows[i].condition, "%s: %d", rows[i].type, code);
        CHECK(code == 0 || multipart_feed(&m, STR("x")) == code);
    }
}

TEST(longest_boundary_is_found)
{
    struct multipart m;
    char boundary[MULTIPART_BOUNDARY_MAX + 1] = "";
    char type[200];
    char body[400];

    memset(boundary, '?', MULTIPART_BOUNDARY_MAX);
    snprintf(type, sizeof type, "multipart/form-data; boundary=\"%s\"", boundary);
    snprintf(body, sizeof body,
             "--%s\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n--%s--\r\n", boundary,
             boundary);
    CHECK_INT(read_all(&m, type, str_of(body)), 0);
    CHECK_STR(multipart_model(&m), "m");
}

/* `head`, then `n` bytes of `c`, then `tail`. */
static struct str filled(const char *head, size_t n, char c, const char *tail)
{
    static char body[65536];
    size_t at = strlen(head);

    memcpy(body, head, at);
    memset(body + at, c, n);
    memcpy(body + at + n, tail, strlen(tail));
    return str_make(body, at + n + strlen(tail));
}

TEST(sizes_are_bounded)
{
    static const char head[] = "--b0\r\nContent-Disposition: form-data; name=\"";
    struct multipart m;

    CHECK_INT(read_all(&m, TYPE, filled(FIELD("model"), LIMIT_MODEL_NAME_BYTES, 'm', "\r\n" END)),
              0);
    CHECK_INT(multipart_model(&m).len, LIMIT_MODEL_NAME_BYTES);
    CHECK_INT(
        read_all(&m, TYPE, filled(FIELD("model"), LIMIT_MODEL_NAME_BYTES + 1, 'm', "\r\n" END)),
        MULTIPART_BAD_MODEL);
    CHECK_INT(read_all(&m, TYPE, filled(FIELD("model"), 9000, 'm', "")), MULTIPART_BAD_MODEL);
    CHECK_INT(read_all(&m, TYPE,
                       filled(FIELD("response_format"), LIMIT_MULTIPART_OPTION_BYTES + 1, 'm',
                              "\r\n" END)),
              MULTIPART_BAD_FORMAT);
    CHECK_INT(read_all(&m, TYPE, filled(head, 4000, 'n', "\"\r\n\r\nx\r\n" MODEL END)), 0);
    CHECK_INT(
        read_all(&m, TYPE, filled(head, LIMIT_MULTIPART_HEAD_BYTES, 'n', "\"\r\n\r\nx\r\n" END)),
        MULTIPART_HEAD_TOO_LARGE);
}

TEST(parts_are_counted)
{
    static char body[(LIMIT_MULTIPART_PARTS + 1) * 64 + 128];

    for (size_t n = LIMIT_MULTIPART_PARTS; n <= LIMIT_MULTIPART_PARTS + 1; n++) {
        struct multipart m;
        size_t at = 0;

        for (size_t i = 1; i < n; i++, at += strlen(FIELD("a") "\r\n"))
            memcpy(body + at, FIELD("a") "\r\n", strlen(FIELD("a") "\r\n"));
        memcpy(body + at, MODEL END, sizeof(MODEL END));
        CHECK_INT(read_form(&m, TYPE, str_of(body), 1000),
                  n > LIMIT_MULTIPART_PARTS ? MULTIPART_TOO_MANY_PARTS : 0);
    }
}

TEST(model_is_replaced_and_nothing_else)
{
    static const char *const names[] = {"m", "whisper-1", "a-much-longer-name/with:tag"};
    struct str body = STR(FILE_PART MODEL FIELD("stream") "true\r\n" END "epilogue");
    struct multipart m;
    struct multipart again;
    struct arena arena;
    struct str out;

    arena_init(&arena, 4096);
    CHECK_INT(read_all(&m, TYPE, body), 0);
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        struct str name = str_of(names[i]);
        size_t at = (size_t)m.model_offset;

        CHECK_INT(multipart_replace_model(&m, body, name, &arena, &out), 0);
        CHECK_INT(read_all(&again, TYPE, out), 0);
        CHECK(str_eq(multipart_model(&again), name) && multipart_is_stream(&again));
        CHECK(str_eq(str_slice(out, 0, at), str_slice(body, 0, at)));
        CHECK(str_eq(str_slice(out, at + name.len, out.len), str_slice(body, at + 9, body.len)));
    }
    CHECK_INT(multipart_replace_model(&m, body, STR("a\r\nb"), &arena, &out), MULTIPART_BAD_MODEL);
    CHECK_INT(multipart_replace_model(&m, body, STR(""), &arena, &out), MULTIPART_BAD_MODEL);
    arena_deinit(&arena);
}

TEST(conditions_name_their_field)
{
    CHECK(strcmp(multipart_condition_field(MULTIPART_NO_MODEL), "model") == 0);
    CHECK(strcmp(multipart_condition_field(MULTIPART_BAD_BOUNDARY), "") == 0);
    for (int i = MULTIPART_NOT_FORM_DATA; i <= MULTIPART_NO_MODEL; i++)
        CHECK(multipart_condition_sentence(i)[0] != '\0');
}
