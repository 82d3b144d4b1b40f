/* What clients and backends can say in one piece; anything else the program spells out. "%" is the
 * header that carries a request's id, "~" the one that agrees to its WebSocket, "@" stands for
 * SCRIPT_LONG_BYTES of content, "$" for the length of what follows the head, and "^...|" is a
 * chunk. */
#include "base/macro.h"
#include "test/fuzz/exchange/peer.h"

#define GET(path)       "GET " path " HTTP/1.1\r\nhost: a\r\n%\r\n"
#define ASK(path, body) "POST " path " HTTP/1.1\r\nhost: a\r\n%content-length: $\r\n\r\n" body
#define CHUNKED(path)   "POST " path " HTTP/1.1\r\nhost: a\r\n%transfer-encoding: chunked\r\n\r\n"
#define CHAT(model, more)                                                                          \
    "{\"model\": \"" model "\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]" more \
    "}"

#define WEBSOCKET(path)                                                                            \
    "GET " path " HTTP/1.1\r\nhost: a\r\n%connection: upgrade\r\nupgrade: websocket\r\n"           \
    "sec-websocket-key: x\r\n\r\n"

const char *const client_scripts[] = {
    /* A */ GET("/plain/a"),
    /* B */ ASK("/plain/b", "hello"),
    /* C */ CHUNKED("/plain/c") "^hello|0\r\n\r\n",
    /* D */ CHUNKED("/plain/d"),
    /* E */ "^hello|",
    /* F */ "0\r\n\r\n",
    /* G */ "0\r\nx-t: a\r\nx-tenant: b\r\n\r\n",
    /* H */ "HEAD /plain/h HTTP/1.1\r\nhost: a\r\n%\r\n",
    /* I */ "GET /plain/i HTTP/1.0\r\n%\r\n",
    /* J */
    "GET /plain/j HTTP/1.1\r\nhost: a\r\n%connection: upgrade\r\nupgrade: websocket\r\n\r\n",
    /* K */
    "POST /plain/k HTTP/1.1\r\nhost: a\r\n%content-length: 5\r\nexpect: 100-continue\r\n\r\n",
    /* L */ "hello",
    /* M */ "GET /key HTTP/1.1\r\nhost: a\r\nx-api-key: key-of-alice\r\n%\r\n",
    /* N */ GET("/key?key=wrong"),
    /* O */ GET("/judged"),
    /* P */ ASK("/judged", "hello"),
    /* Q */ GET("/dead"),
    /* R */ GET("/named"),
    /* S */ GET("/elsewhere"),
    /* T */ GET("/mirror"),
    /* U */ ASK("/mirror", "hello"),
    /* V */ ASK("/limited", "hello"),
    /* W */ ASK("/plain/w", "@"),
    /* X */ CHUNKED("/two") "^@|0\r\n\r\n",
    /* Y */ GET("/timed"),
    /* Z */ ASK("/timed", "hello"),
    /* [ */ ASK("/v1/chat/completions", CHAT("m-open", "")),
    /* \ */ ASK("/v1/chat/completions", CHAT("m-open", ", \"stream\": true")),
    /* ] */ ASK("/v1/chat/completions", CHAT("m-anth", ", \"stream\": true")),
    /* ^ */ ASK("/v1/chat/completions", CHAT("m-anth", "")),
    /* _ */ ASK("/v1/chat/completions", CHAT("m-both", "")),
    /* ` */ ASK("/v1/chat/completions", CHAT("m-both", ", \"stream\": true")),
    /* a */ ASK("/v1/messages", CHAT("m-open", ", \"max_tokens\": 10")),
    /* b */ ASK("/v1/messages", CHAT("m-open", ", \"max_tokens\": 10, \"stream\": true")),
    /* c */ CHUNKED("/v1/chat/completions") "^" CHAT("m-both", ", \"stream\": true") "|0\r\n\r\n",
    /* d */ GET("/v1/models"),
    /* e */ ASK("/v1/chat/completions", CHAT("m-served", "")),
    /* f */ "GET /changed/f?a=b HTTP/1.1\r\nhost: a\r\n%connection: close\r\n\r\n",
    /* g */ ASK("/v2/models/m-open/infer", "{}"),
    /* h */ "OPTIONS * HTTP/1.1\r\nhost: a\r\n%\r\n",
    /* i */ "GET /plain/%2e%2e/x HTTP/1.1\r\nhost: a\r\n\r\n",
    /* j */ "DELETE /plain/j HTTP/1.1\r\nhost: a\r\n%content-length: 5\r\n\r\nhello",
    /* k */ GET("/streams/k"),
    /* l */ ASK("/streams/l", "hello"),
    /* m */ CHUNKED("/streams/m") "^@|0\r\n\r\n",
    /* n */ CHUNKED("/streams/n"),
    /* o */
    WEBSOCKET("/streams/o"),
    /* p */ GET("/again/p"),
    /* q */ ASK("/again/q", "hello"),
    /* r */ CHUNKED("/again/r") "^@|0\r\n\r\n",
    /* s */ CHUNKED("/again/s"),
    /* t */ "PUT /again/t HTTP/1.1\r\nhost: a\r\n%content-length: 5\r\n\r\nhello",
    /* u */ GET("/faulty/u"),
    /* v */ ASK("/faulty/v", "hello"),
    /* w */ CHUNKED("/whole/w") "^@|0\r\n\r\n",
    /* x */ CHUNKED("/whole/x"),
    /* y */ GET("/ill/y"),
    /* z */ CHUNKED("/ill/z"),
};
const unsigned n_client_scripts = N_ELEMENTS(client_scripts);

#define OK(body) "HTTP/1.1 200 OK\r\n%content-length: $\r\n\r\n" body
#define JSON(body)                                                                                 \
    "HTTP/1.1 200 OK\r\n%content-type: application/json\r\ncontent-length: $\r\n\r\n" body
#define SLOW(body)                                                                                 \
    "HTTP/1.1 429 Slow\r\n%content-type: application/json\r\ncontent-length: $\r\n\r\n" body
#define EVENTS                                                                                     \
    "HTTP/1.1 200 OK\r\n%content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
#define OPEN_FRAME                                                                                 \
    "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","      \
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n"
#define OPEN_LAST                                                                                  \
    "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","      \
    "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
#define ANTH_START                                                                                 \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"type\":"  \
    "\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":"                 \
    "{\"input_tokens\":3,\"output_tokens\":1}}}\n\n"                                               \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"             \
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define ANTH_DELTA                                                                                 \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"   \
    "{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n"
#define ANTH_STOP                                                                                  \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"           \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"          \
    "\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n"                                           \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

const char *const backend_scripts[] = {
    /* A */ OK("hello"),
    /* B */ "HTTP/1.1 200 OK\r\n%transfer-encoding: chunked\r\n\r\n^hello|0\r\n\r\n",
    /* C */ "HTTP/1.1 200 OK\r\n%transfer-encoding: chunked\r\n\r\n",
    /* D */ "^hello|",
    /* E */ "0\r\n\r\n",
    /* F */ "0\r\nx-t: a\r\n\r\n",
    /* G */ "HTTP/1.1 200 OK\r\n%connection: close\r\n\r\nhello",
    /* H */ "HTTP/1.1 100 Continue\r\n\r\n",
    /* I */ "HTTP/1.1 204 No Content\r\n%\r\n",
    /* J */ "HTTP/1.1 304 Not Modified\r\n%content-length: 5\r\n\r\n",
    /* K */ "HTTP/1.1 500 No\r\n%content-length: 2\r\n\r\nno",
    /* L */ "HTTP/1.1 101 Yes\r\n%~connection: upgrade\r\nupgrade: websocket\r\n\r\n",
    /* M */ OK("@"),
    /* N */ "HTTP/1.1 200 OK\r\n%transfer-encoding: chunked\r\n\r\n^@|0\r\n\r\n",
    /* O */ "HTTP/1.1 200 OK\r\n%content-length: 5\r\n\r\nhello more",
    /* P */ "HTTP/1.0 200 OK\r\n%\r\n@",
    /* Q */ "HTTP/1.1 403 No\r\n%content-length: 0\r\n\r\n",
    /* R */
    JSON(
        "{\"id\":\"a\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
        "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"
        "\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}, \"a\":\"b\"}"),
    /* S */ EVENTS "^" OPEN_FRAME "|",
    /* T */ "^" OPEN_FRAME "|",
    /* U */ "^" OPEN_LAST "|0\r\n\r\n",
    /* V */ EVENTS "^" ANTH_START "|",
    /* W */ "^" ANTH_DELTA "|",
    /* X */ "^" ANTH_STOP "|0\r\n\r\n",
    /* Y */
    JSON("{\"id\":\"a\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],"
         "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}"),
    /* Z */ SLOW("{\"error\":\"slow\"}"),
    /* [ */ "HTTP/1.1 200 OK\r\n%content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    /* \ */ "HTTP/1.1 101 Yes\r\n%~upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
};
const unsigned n_backend_scripts = N_ELEMENTS(backend_scripts);

/* Frames of HTTP/2 (RFC 9113 6); `stream` is put where the head of each has its stream. */
static const struct {
    const char *bytes;
    size_t n;
} frames[] = {
#define F(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    /* A */ F("\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"), /* SETTINGS, and ACK */
    /* B */ F("\0\0\1\1\4\0\0\0%\x88"),                /* HEADERS: 200 */
    /* C */ F("\0\0\1\1\5\0\0\0%\x88"),                /* and the end */
    /* D */ F("\0\0\5\0\0\0\0\0%hello"),
    /* E */ F("\0\0\5\0\1\0\0\0%hello"),
    /* F */ F("\0\0\4\3\0\0\0\0%\0\0\0\7"), /* RST_STREAM: refused */
    /* G */ F("\0\0\4\3\0\0\0\0%\0\0\0\2"),
    /* H */ F("\0\0\10\7\0\0\0\0\0\0\0\0%\0\0\0\0"), /* GOAWAY after this stream */
    /* I */ F("\0\0\4\10\0\0\0\0\0\0\1\0\0\0\0\4\10\0\0\0\0%\0\1\0\0"), /* windows */
                                                                        /* J */
    F("\0\0\10\6\0\0\0\0\0"
      "12345678"),                              /* PING */
    /* K */ F("\0\0\6\4\0\0\0\0\0\0\3\0\0\0%"), /* so many streams at most */
                                                /* L */
    F("\0\0\5\1\5\0\0\0%\0\1t\1"
      "a"), /* HEADERS: t: a, the end */
            /* M */
    F("\0\0\6\1\4\0\0\0%\x08\3"
      "103"
      "\x88"), /* HEADERS: 103, and 200 */
               /* N */
    F("\0\0\5\1\4\0\0\0%\x08\3"
      "103"),                                     /* HEADERS: 103 */
    /* O */ F("\0\0\6\4\0\0\0\0\0\0\10\0\0\0\1"), /* takes extended CONNECT */
    /* P */ F("\0\0\6\4\0\0\0\0\0\0\4\0\0\0%"),   /* windows of so much */
    /* Q */ F("\0\0\2\1\4\0\0\0%\x88\xbe"),
    /* R */ F("\0\0\0\0\0\0\0\0%"),     /* DATA of nothing */
    /* S */ F("\0\0\1\1\4\0\0\0%\x88"), /* HEADERS: 200, the id */
    /* T */ F("\0\0\40\1\4\0\0\0%\x88\0\14content-type\20application/grpc"),
    /* U */ F("\0\0\7\0\0\0\0\0%\0\0\0\0\2\12\0"), /* a message of gRPC: of an authorizer, yes */
    /* V */ F("\0\0\11\0\0\0\0\0%\0\0\0\0\4\12\2\10\7"), /* and that is no */
    /* W */ F("\0\0\17\1\5\0\0\0%\0\13grpc-status\0010"),
    /* X */ F("\0\0\4\10\0\0\0\0\0\0\1\0\0"), /* the window of the connection */
    /* Y */ F("\0\0\4\10\0\0\0\0%\0\0\0\12"), /* ten bytes of a stream's */
    /* Z */ F("\0\0\0\4\1\0\0\0\0"),          /* SETTINGS, ACK */
#undef F
};
enum { FRAME_OF_ECHO = 'S' - 'A' };

void script_frame(struct buf *out, unsigned which, unsigned char stream, struct str id)
{
    size_t i = which % N_ELEMENTS(frames);
    struct buf head = {0};

    if (which == FRAME_OF_ECHO && id.len > 0) {
        buf_append_char(&head, '\x88');
        frames_append_field(&head, STR("x-echo"), id);
        frames_append(out, FRAME_HEADERS, FRAME_END_HEADERS, stream, buf_str(&head));
        buf_deinit(&head);
        return;
    }
    for (size_t k = 0; k < frames[i].n; k++)
        buf_append_char(out, frames[i].bytes[k] == '%' ? (char)stream : frames[i].bytes[k]);
}

/* ---- requests of HTTP/2: "name value" a line, "%" the id ---- */

#define TO_HOST2(method, host, path)                                                               \
    ":method " method "\n:scheme http\n:authority " host "\n:path " path "\n%"
#define TO2(method, path) TO_HOST2(method, "a", path)
#define CALL2(host, path)                                                                          \
    TO_HOST2("POST", host, path) "content-type application/grpc\nte trailers\n"
#define WEBSOCKET2(path) ":protocol websocket\n" TO2("CONNECT", path)
#define MESSAGE          "\0\0\0\0\5hello"
/* Calls that name a model: a name of four bytes as field 1, in a message that has more. */
#define NAME(name)                  "\12\4" name
#define MESSAGE_TO(name, len, more) "\0\0\0\0" len NAME(name) more
#define MODEL_INFER                 "/inference.GRPCInferenceService/ModelInfer"
#define MODEL_STREAM                "/inference.GRPCInferenceService/ModelStreamInfer"

static const struct {
    const char *head;
    struct str body; /* .ptr NULL: none; "": not ended; "@" at its end: SCRIPT_LONG_FRAMES, twice
                        with "@@" */
} requests[] = {
#define R(head, body)                                                                              \
    {                                                                                              \
        head,                                                                                      \
        {                                                                                          \
            body, sizeof(body) - 1                                                                 \
        }                                                                                          \
    }
#define R0(head)                                                                                   \
    {                                                                                              \
        head,                                                                                      \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
    /* A */ R0(TO2("GET", "/plain/a")),
    /* B */ R(TO2("POST", "/plain/b") "content-length 5\n", "hello"),
    /* C */ R(TO2("POST", "/plain/c"), "hello"),
    /* D */ R(TO2("POST", "/plain/d"), ""),
    /* E */ R(TO2("POST", "/plain/e"), "@"),
    /* F */ R0(TO2("HEAD", "/plain/f")),
    /* G */ R(TO2("POST", "/plain/g") "expect 100-continue\n", ""),
    /* H */ R(WEBSOCKET2("/plain/h"), ""),
    /* I */ R0(TO2("GET", "/key") "x-api-key key-of-alice\n"),
    /* J */ R0(TO2("GET", "/key?key=wrong")),
    /* K */ R0(TO2("GET", "/judged")),
    /* L */ R(TO2("POST", "/judged"), "hello"),
    /* M */ R0(TO2("GET", "/asked")),
    /* N */ R(TO2("POST", "/asked"), "hello"),
    /* O */ R0(TO2("GET", "/dead")),
    /* P */ R0(TO2("GET", "/named")),
    /* Q */ R0(TO2("GET", "/elsewhere")),
    /* R */ R(TO2("POST", "/mirror"), "hello"),
    /* S */ R(TO2("POST", "/mirror"), "@"),
    /* T */ R0(TO2("GET", "/timed")),
    /* U */ R(TO2("POST", "/v1/chat/completions"), CHAT("m-open", ", \"stream\": true")),
    /* V */ R(TO2("POST", "/v1/chat/completions"), CHAT("m-both", ", \"stream\": true")),
    /* W */ R(TO2("POST", "/v1/chat/completions"), CHAT("m-anth", "")),
    /* X */ R0(TO2("GET", "/streams/x")),
    /* Y */ R(TO2("POST", "/streams/y"), "@"),
    /* Z */ R(TO2("POST", "/streams/z"), ""),
    /* [ */ R(WEBSOCKET2("/streams/o"), ""),
    /* \ */ R(CALL2("calls.play", "/play.Talk/Say"), MESSAGE),
    /* ] */ R(CALL2("calls.play", "/play.Talk/Say") "grpc-timeout 1S\n", ""),
    /* ^ */ R(CALL2("calls.play", "/play.Talk/Other"), MESSAGE),
    /* _ */ R0(TO2("GET", "/plain/../x")),
    /* ` */ R(TO2("POST", "/plain/b") "content-length 6\n", "hello"),
    /* a */ R0(TO2("GET", "/plain/a") "connection close\n"),
    /* b */ R0(TO2("GET", "/plain/a") "x-a b\r\n"),
    /* c */ R0(TO2("GET", "/changed/f?a=b")),
    /* d */ R(TO2("POST", "/limited"), "hello"),
    /* e */ R(CALL2("a", "/plain/call"), MESSAGE),
    /* f */ R(TO2("POST", "/plain/f"), "@@"),
    /* g */ R(CALL2("calls.play", MODEL_INFER), MESSAGE_TO("iris", "\6", "")),
    /* h */ R(CALL2("calls.play", MODEL_INFER), MESSAGE_TO("rose", "\6", "")),
    /* i */ R(CALL2("calls.play", MODEL_INFER), MESSAGE_TO("iris", "\14", NAME("rose"))),
    /* j */ R(CALL2("calls.play", MODEL_INFER) "grpc-timeout 1S\n", ""),
    /* k */ R(CALL2("calls.play", MODEL_INFER), "\0\0\0\300\12" NAME("iris") "\72\200\200\3@"),
    /* l */ R(CALL2("calls.play", MODEL_STREAM), MESSAGE),
    /* m */ R0(TO2("GET", "/again/g")),
    /* n */ R(TO2("POST", "/again/h"), "@"),
    /* o */ R(TO2("PUT", "/again/i"), ""),
    /* p */ R(TO2("POST", "/faulty/j"), "@"),
    /* q */ R(TO2("POST", "/whole/k"), "@@"),
    /* r */ R0(TO2("GET", "/ill/r")),
    /* s */ R(TO2("POST", "/ill/s"), "@"),
#undef R
#undef R0
};

enum {
    SCRIPT_LONG_FRAMES = 3,
    SCRIPT_FRAME_BYTES = 16384 /* in all less than a stream's window, and twice of it more */
};

static void script_head(struct str text, struct str id, struct buf *block)
{
    while (text.len > 0) {
        size_t end = (size_t)str_find_char(text, '\n', 0);
        struct str line = str_slice(text, 0, end);
        ssize_t space = str_find_char(line, ' ', 0);

        if (text.ptr[0] == '%') {
            frames_append_field(block, STR("x-id"), id);
            text = str_slice(text, 1, text.len);
            continue;
        }
        frames_append_field(block, str_slice(line, 0, (size_t)space),
                            str_slice(line, (size_t)space + 1, line.len));
        text = str_slice(text, end + 1, text.len);
    }
}

static void script_long_content(struct buf *out, uint32_t stream, unsigned n_frames)
{
    static char room[SCRIPT_FRAME_BYTES];

    memset(room, 'x', sizeof room);
    for (unsigned i = 1; i <= n_frames; i++)
        frames_append(out, FRAME_DATA, i == n_frames ? FRAME_END_STREAM : 0, stream,
                      str_make(room, sizeof room));
}

void script_request(struct buf *out, unsigned which, uint32_t stream, struct str id)
{
    size_t i = which % N_ELEMENTS(requests);
    struct str body = requests[i].body;
    struct buf block = {0};
    unsigned n_long = 0;

    script_head(str_of(requests[i].head), id, &block);
    frames_append(out, FRAME_HEADERS, FRAME_END_HEADERS | (body.ptr ? 0 : FRAME_END_STREAM), stream,
                  buf_str(&block));
    while (str_ends_with(body, STR("@"))) {
        body.len--;
        n_long += SCRIPT_LONG_FRAMES;
    }
    if (body.len > 0)
        frames_append(out, FRAME_DATA, n_long > 0 ? 0 : FRAME_END_STREAM, stream, body);
    if (n_long > 0)
        script_long_content(out, stream, n_long);
    buf_deinit(&block);
}
