/* The meter: recorded shapes at every split, by the fast way and the long one, compressed, and what
 * an upstream may do to it. */
#include "llm/answer_scan.h"

#include "base/buf.h"
#include "test/harness/test.h"

/* An answer as its provider's documentation or server writes it, and what the meter says of it. */
struct sample {
    const char *name;
    enum ai_endpoint endpoint;
    enum answer_kind kind;
    const char *text;
    const char *want; /* as format() below writes it */
};

#define CHAT AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS
#define CHUNK                                                                                      \
    "data: "                                                                                       \
    "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-"  \
    "4o-2024-08-06\","
#define DELTA(t)                                                                                   \
    CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" t                                  \
          "\"},\"finish_reason\":null}]}\n\n"
#define DELTA_NULL(t)                                                                              \
    CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" t                                  \
          "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"" t     \
          "x\"}\n\n"
#define STOP CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define COUNTS                                                                                     \
    "\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29,"                \
    "\"prompt_tokens_details\":{\"cached_tokens\":8,\"audio_tokens\":0},"                          \
    "\"completion_tokens_details\":{\"reasoning_tokens\":4,\"audio_tokens\":0,"                    \
    "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}"
#define COUNTED "in=19 cached=8 out=10 reasoning=4 total=29"

#define MSG AI_ENDPOINT_MESSAGES, ANSWER_EVENTS
#define MSG_START                                                                                  \
    "event: message_start\ndata: "                                                                 \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":"                          \
    "\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],"           \
    "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":25,"                  \
    "\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":1000,\"output_tokens\":1}}}"  \
    "\n\n"                                                                                         \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"             \
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"                                     \
    "event: ping\ndata: {\"type\": \"ping\"}\n\n"
#define MSG_DELTA(t)                                                                               \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"   \
    "{\"type\":\"text_delta\",\"text\":\"" t "\"}}\n\n"
#define MSG_END                                                                                    \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"           \
    "event: message_delta\ndata: "                                                                 \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","                         \
    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":15}}\n\n"                                \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

#define RESP AI_ENDPOINT_RESPONSES, ANSWER_EVENTS
#define RESP_DELTA(n, t)                                                                           \
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","           \
    "\"sequence_number\":" n ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"      \
    "\"delta\":\"" t "\",\"logprobs\":[],\"obfuscation\":\"k" t "\"}\n\n"
#define RESP_USAGE                                                                                 \
    "\"usage\":{\"input_tokens\":36,\"input_tokens_details\":{\"cached_tokens\":0},"               \
    "\"output_tokens\":87,\"output_tokens_details\":{\"reasoning_tokens\":64},\"total_tokens\":"   \
    "123}"

static const struct sample samples[] = {
    {"chat json", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\n  \"id\": \"chatcmpl-1\",\n  \"object\": \"chat.completion\",\n  \"created\": "
     "1741569952,\n"
     "  \"model\": \"gpt-4o-2024-08-06\",\n  \"choices\": [{\"index\": 0, \"message\": {\"role\": "
     "\"assistant\", \"content\": \"Hello \\u00e9\\n!\", \"refusal\": null, \"annotations\": []},"
     " \"logprobs\": null, \"finish_reason\": \"stop\"}],\n  " COUNTS ",\n"
     "  \"service_tier\": \"default\"\n}\n",
     COUNTED " | gpt-4o-2024-08-06 stop text=10+0 frames=0 content finished ended"},
    {"chat json, tool call, no total", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6},\"model\":\"m\",\"choices\":[{"
     "\"message\":"
     "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":"
     "\"function\","
     "\"function\":{\"name\":\"get\",\"arguments\":\"{\\\"a\\\":1}\"}}]},\"finish_reason\":\"tool_"
     "calls\"}]}",
     "in=5 out=6 total=11 | m tool_calls text=10+0 frames=0 content finished ended"},
    {"chat json, an error under 200", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"error\":{\"message\":\"too busy\",\"type\":\"server_error\",\"code\":null}}",
     "| text=0+0 frames=0 error-first ended"},
    {"chat json, cut in the content", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"model\":\"m\",\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"twelve "
     "bytes",
     "| m text=12+12 frames=0 content"},
    {"chat json, cut in the usage", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"model\":\"m\",\"choices\":[{\"message\":{\"content\":\"twelve bytes\"}}],\"usage\":"
     "{\"prompt_tokens\":5,\"completion_tokens\":12",
     "in=5 | m text=12+12 frames=0 content"},
    {"chat json that is none", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON, "<html>nothing</html>",
     "| text=20+20 frames=0 unreadable=1 content"},
    {"chat json with usage twice", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6},\"usage\":{\"prompt_tokens\":1}}",
     "| text=79+79 frames=0 unreadable=1 content"},
    {"chat json with bad counts", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":6.5,\"total_tokens\":1e300,"
     "\"prompt_tokens_details\":{\"cached_tokens\":\"9\"}}}",
     "invalid | text=0+0 frames=0 ended"},
    {"chat json with counts as floats", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"usage\":{\"prompt_tokens\":5.0,\"completion_tokens\":1e1,\"total_tokens\":15,"
     "\"prompt_tokens_details\":null}}",
     "in=5 out=10 total=15 | text=0+0 frames=0 ended"},
    {"chat json with the largest count and more", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"usage\":{\"prompt_tokens\":1000000000,\"completion_tokens\":1000000001}}",
     "in=1000000000 invalid | text=0+0 frames=0 ended"},
    {"chat stream, usage in a frame of its own", CHAT,
     DELTA_NULL("") DELTA_NULL("Hel") DELTA_NULL("lo, \\\"") DELTA_NULL("w\xc3\xb6rld") STOP CHUNK
     "\"choices\":[]," COUNTS "}\n\n" DONE,
     COUNTED " | gpt-4o-2024-08-06 stop text=14+0 frames=7 content finished ended"},
    {"chat stream, usage with the finish reason", CHAT,
     DELTA("Hi") CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"!\"},\"finish_reason\":"
                       "\"length\"}]," COUNTS "}\n\n" DONE,
     COUNTED " | gpt-4o-2024-08-06 length text=3+0 frames=3 content finished ended"},
    {"chat stream, cumulative usage in every frame", CHAT,
     CHUNK "\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":7,"
           "\"completion_tokens\":1,\"total_tokens\":8}}\n\n" CHUNK
           "\"choices\":[{\"delta\":{\"content\":\"bcd\"}}],\"usage\":{\"prompt_tokens\":7,"
           "\"completion_tokens\":3,\"total_tokens\":10}}\n\n" STOP DONE,
     "in=7 out=3 total=10 | gpt-4o-2024-08-06 stop text=4+0 frames=4 content finished ended"},
    {"chat stream, cumulative usage, then cut", CHAT,
     CHUNK "\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":7,"
           "\"completion_tokens\":1}}\n\n" DELTA("five5") DELTA("ok"),
     "in=7 out=1 total=8 | gpt-4o-2024-08-06 text=8+7 frames=3 content"},
    {"chat stream, cumulative usage, cut before the new total", CHAT,
     CHUNK "\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":7,"
           "\"completion_tokens\":1,\"total_tokens\":8}}\n\n" CHUNK
           "\"choices\":[{\"delta\":{\"content\":\"bcd\"}}],\"usage\":{\"prompt_tokens\":7,"
           "\"completion_tokens\":3,\"total_tok",
     "in=7 out=3 total=10 | gpt-4o-2024-08-06 text=4+0 frames=2 content"},
    {"chat stream, lines of no known field", CHAT, "first line\nanother: 1\n\nid: 1\n\n",
     "| text=23+23 frames=0 unreadable=1 content"},
    {"chat stream, one line of no known field, no end", CHAT, "0123456789",
     "| text=10+10 frames=0 unreadable=1 content"},
    {"chat stream, nothing but what any stream has", CHAT,
     ": ping\n\nid: 1\nretry: 2\nevent: x\n\nretry\n\n:\n\n", "| text=0+0 frames=0"},
    {"chat json of another shape", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON,
     "{\"result\":\"of another API\"}", "| text=27+27 frames=0 unreadable=1 content ended"},
    {"chat json that is a text", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON, "\"text\"",
     "| text=6+6 frames=0 unreadable=1 content ended"},
    {"embeddings json of another shape", AI_ENDPOINT_EMBEDDINGS, ANSWER_JSON, "{\"result\":1}",
     "| text=0+0 frames=0 ended"},
    {"chat stream, usage of zeros", CHAT,
     DELTA("five5") CHUNK "\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,"
                          "\"total_tokens\":0}}\n\n" DONE,
     "in=0 out=0 total=0 | gpt-4o-2024-08-06 text=5+5 frames=3 content ended"},
    {"chat stream without usage", CHAT, DELTA("Hello") DELTA(" there") STOP DONE,
     "| gpt-4o-2024-08-06 stop text=11+11 frames=4 content finished ended"},
    {"chat stream, cut inside a frame", CHAT,
     DELTA("Hello") CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" the",
     "| gpt-4o-2024-08-06 text=9+9 frames=2 content"},
    {"chat stream, cut inside [DONE]", CHAT, DELTA("Hello") "data: [DON",
     "| gpt-4o-2024-08-06 text=5+5 frames=2 content"},
    {"chat stream, last frame without its blank line", CHAT,
     DELTA("Hello") CHUNK "\"choices\":[]," COUNTS "}",
     COUNTED " | gpt-4o-2024-08-06 text=5+0 frames=2 content"},
    {"chat stream, CRLF, comments, spaces", CHAT,
     ": keep-alive\r\n\r\ndata: {\"model\" : \"m\", \"choices\" : [ { \"delta\" : { \"content\" : "
     "\"abc\" } } ] }"
     "\r\n\r\nevent: message\r\nid: "
     "7\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"de\"}}]}\r\n\r\n"
     "data: [DONE]\r\n\r\n",
     "| m text=5+5 frames=3 content ended"},
    {"chat stream, data on two lines", CHAT,
     "data: {\"model\":\"m\",\ndata: \"choices\":[{\"delta\":{\"content\":\"abc\"}}]}\n\n" DONE,
     "| m text=3+3 frames=2 content ended"},
    {"chat stream, reasoning and tool calls", CHAT,
     "data: {\"model\":\"r1\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null,"
     "\"reasoning_content\":\"hmm\"}}]}\n\n"
     "data: "
     "{\"model\":\"r1\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\","
     "\"type\":"
     "\"function\",\"function\":{\"name\":\"get\",\"arguments\":\"\"}}]}}]}\n\n"
     "data: {\"model\":\"r1\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
     "\"arguments\":\"{\\\"a\"}}]}}]}\n\n"
     "data: {\"model\":\"r1\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
     "\"arguments\":\"\\\":1}\"}}]}}]}\n\n" DONE,
     "| r1 text=13+13 frames=5 content ended"},
    {"chat stream, two choices and \\u escapes", CHAT,
     "data: "
     "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{"
     "\"content\":\"bb\"}}]}\n\n"
     "data: "
     "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\u00e9\"}},{\"index\":1,\"delta\":{"
     "\"content\":\"\\ud83d\\ude00\"}}]}\n\n"
     "data: "
     "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"xy\"}},{\"index\":1,\"delta\":{"
     "\"content\":\"\"}}]}\n\n",
     "| text=11+11 frames=3 content"},
    {"chat stream, an error first", CHAT,
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
     "data: {\"error\":{\"message\":\"out of "
     "memory\",\"type\":\"InternalServerError\",\"code\":500}}\n\n" DONE,
     "| text=0+0 frames=3 error-first ended"},
    {"chat stream, an error after content", CHAT,
     DELTA("so") "event: error\ndata: {\"message\":\"gone\"}\n\n",
     "| gpt-4o-2024-08-06 text=2+2 frames=2 content error"},
    {"chat stream, vLLM's old error", CHAT,
     "data: {\"object\":\"error\",\"message\":\"too "
     "long\",\"type\":\"BadRequestError\",\"code\":400}\n\n",
     "| text=0+0 frames=1 error-first"},
    {"chat stream, broken frames", CHAT,
     "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}}]\n\ndata: nonsense\n\ndata:\n\n" DELTA(
         "x") DONE,
     "| gpt-4o-2024-08-06 text=48+48 frames=4 unreadable=2 content ended"},
    {"chat stream, invalid UTF-8 and duplicate keys", CHAT,
     DELTA("ab") DELTA("\xff")
         DELTA("\xed\xa0\x80") "data: {\"choices\":[],\"choices\":[]}\n\n" DONE,
     "| gpt-4o-2024-08-06 text=355+355 frames=5 unreadable=3 content ended"},
    {"chat stream, usage of a wrong type", CHAT,
     DELTA("ab") "data: {\"choices\":[],\"usage\":7}\n\n" DONE,
     "invalid | gpt-4o-2024-08-06 text=2+2 frames=3 content ended"},
    {"chat stream, DeepSeek's cache and Groq's usage", CHAT,
     "data: "
     "{\"model\":\"d\",\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":"
     "9,"
     "\"completion_tokens\":2,\"total_tokens\":11,\"prompt_cache_hit_tokens\":6,\"prompt_cache_"
     "miss_tokens\":3}}\n\n"
     "data: "
     "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"id\":\"r\",\"usage\":"
     "{\"queue_time\":0.1,\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}}"
     "\n\n" DONE,
     "in=10 cached=6 out=3 total=13 | d stop text=1+0 frames=3 content finished ended"},
    {"completions stream", AI_ENDPOINT_COMPLETIONS, ANSWER_EVENTS,
     "data: "
     "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"choices\":[{\"text\":"
     "\"abc\",\"index\":0,"
     "\"logprobs\":null,\"finish_reason\":null}],\"model\":\"m\",\"usage\":null}\n\n"
     "data: "
     "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":2,\"choices\":[{\"text\":"
     "\"de\",\"index\":0,"
     "\"logprobs\":null,\"finish_reason\":null}],\"model\":\"m\",\"usage\":null}\n\n"
     "data: "
     "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":3,\"choices\":[],\"model\":"
     "\"m\","
     "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n" DONE,
     "in=3 out=2 total=5 | m text=5+0 frames=4 content ended"},
    {"embeddings", AI_ENDPOINT_EMBEDDINGS, ANSWER_JSON,
     "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.01,-0."
     "2,1e-5]}],"
     "\"model\":\"text-embedding-3-small\",\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}",
     "in=8 out=0 total=8 | text-embedding-3-small text=0+0 frames=0 ended"},
    {"images", AI_ENDPOINT_IMAGES, ANSWER_JSON,
     "{\"created\":1713833628,\"data\":[{\"b64_json\":\"iVBORw0KGgo=\"}],\"usage\":{\"total_"
     "tokens\":100,"
     "\"input_tokens\":50,\"output_tokens\":50,\"input_tokens_details\":{\"text_tokens\":10,"
     "\"image_tokens\":40}}}",
     "in=50 out=50 total=100 | text=0+0 frames=0 ended"},
    {"images stream", AI_ENDPOINT_IMAGES, ANSWER_EVENTS,
     "event: image_generation.partial_image\ndata: "
     "{\"type\":\"image_generation.partial_image\",\"b64_json\":\"AAAA\"}\n\n"
     "event: image_generation.completed\ndata: "
     "{\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\",\"usage\":"
     "{\"total_tokens\":100,\"input_tokens\":50,\"output_tokens\":50}}\n\n",
     "in=50 out=50 total=100 | text=0+0 frames=2 content ended"},
    {"transcription", AI_ENDPOINT_TRANSCRIPTIONS, ANSWER_JSON,
     "{\"text\":\"Imagine\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_"
     "details\":"
     "{\"text_tokens\":10,\"audio_tokens\":4},\"output_tokens\":101,\"total_tokens\":115}}",
     "in=14 out=101 total=115 | text=7+0 frames=0 content ended"},
    {"transcription by duration", AI_ENDPOINT_TRANSCRIPTIONS, ANSWER_JSON,
     "{\"text\":\"Imagine\",\"usage\":{\"type\":\"duration\",\"seconds\":27}}",
     "| text=7+7 frames=0 content ended"},
    {"transcription as plain text", AI_ENDPOINT_TRANSCRIPTIONS, ANSWER_OTHER, "Imagine that\n",
     "| text=13+13 frames=0 unreadable=1 content"},
    {"transcription stream", AI_ENDPOINT_TRANSCRIPTIONS, ANSWER_EVENTS,
     "data: {\"type\":\"transcript.text.delta\",\"delta\":\"I\",\"logprobs\":[]}\n\n"
     "data: {\"type\":\"transcript.text.delta\",\"delta\":\" see\",\"logprobs\":[]}\n\n"
     "data: {\"type\":\"transcript.text.done\",\"text\":\"I "
     "see\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,"
     "\"output_tokens\":45,\"total_tokens\":59}}\n\n",
     "in=14 out=45 total=59 | text=5+0 frames=3 content ended"},
    {"speech", AI_ENDPOINT_SPEECH, ANSWER_OTHER, "ID3 audio",
     "| text=0+0 frames=0 unreadable=1 content"},
    {"speech stream", AI_ENDPOINT_SPEECH, ANSWER_EVENTS,
     "data: {\"type\":\"speech.audio.delta\",\"audio\":\"SUQz\"}\n\n"
     "data: {\"type\":\"speech.audio.delta\",\"audio\":\"BAAA\"}\n\n"
     "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,"
     "\"total_tokens\":115}}\n\n",
     "in=14 out=101 total=115 | text=0+0 frames=3 content ended"},
    {"rerank, Cohere, tokens", AI_ENDPOINT_COHERE_RERANK, ANSWER_JSON,
     "{\"results\":[],\"meta\":{\"billed_units\":{\"search_units\":1},\"tokens\":{\"input_tokens\":"
     "17,"
     "\"output_tokens\":3}}}",
     "in=17 out=3 total=20 | text=0+0 frames=0 ended"},
    {"rerank, Cohere", AI_ENDPOINT_COHERE_RERANK, ANSWER_JSON,
     "{\"id\":\"r\",\"results\":[{\"index\":3,\"relevance_score\":0.9}],\"meta\":{\"api_version\":{"
     "\"version\":\"2\"},"
     "\"billed_units\":{\"search_units\":1}}}",
     "| text=0+0 frames=0 ended"},
    {"rerank, Cohere, billed tokens", AI_ENDPOINT_RERANK, ANSWER_JSON,
     "{\"results\":[],\"meta\":{\"billed_units\":{\"input_tokens\":17,\"output_tokens\":0}}}",
     "in=17 out=0 total=17 | text=0+0 frames=0 ended"},
    {"rerank, vLLM and Jina", AI_ENDPOINT_RERANK, ANSWER_JSON,
     "{\"id\":\"rerank-1\",\"model\":\"bge\",\"usage\":{\"total_tokens\":56},\"results\":[]}",
     "in=56 out=0 total=56 | bge text=0+0 frames=0 ended"},
    {"messages json", AI_ENDPOINT_ANTHROPIC_MESSAGES, ANSWER_JSON,
     "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-"
     "5\",\"content\":"
     "[{\"type\":\"text\",\"text\":\"Hi!\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"get\","
     "\"input\":{\"a\":1}}],"
     "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":25,"
     "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":40,\"cache_creation\":"
     "{\"ephemeral_5m_input_tokens\":0},\"output_tokens\":12,\"service_tier\":\"standard\"}}",
     "in=65 cached=40 created=0 out=12 total=77 | claude-sonnet-4-5 tool_use text=13+0 frames=0 "
     "content "
     "finished ended"},
    {"messages stream", MSG,
     MSG_START MSG_DELTA("Hello") MSG_DELTA("!") MSG_DELTA(" \\u00e9") MSG_END,
     "in=1125 cached=1000 created=100 out=15 total=1140 | claude-sonnet-4-5 end_turn text=9+0 "
     "frames=9 "
     "content finished ended"},
    {"messages stream, cut", MSG, MSG_START MSG_DELTA("Hello") MSG_DELTA("!"),
     "in=1125 cached=1000 created=100 out=1 total=1126 | claude-sonnet-4-5 text=6+6 frames=5 "
     "content"},
    {"messages stream, counts again at the end", MSG,
     MSG_START MSG_DELTA(
         "x") "event: message_delta\ndata: "
              "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":"
              "{\"input_tokens\":30,\"cache_read_input_tokens\":0,\"output_tokens\":5}}\n\n",
     "in=130 cached=0 created=100 out=5 total=135 | claude-sonnet-4-5 max_tokens text=1+0 frames=5 "
     "content "
     "finished"},
    {"messages stream, thinking and tools", MSG,
     "data: "
     "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
     "\"thinking\":\"hm\"}}\n\n"
     "data: "
     "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\","
     "\"signature\":\"EqQ\"}}\n\n"
     "data: "
     "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\","
     "\"id\":\"t\",\"name\":"
     "\"get\",\"input\":{}}}\n\n"
     "data: "
     "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
     "\"partial_json\":"
     "\"{\\\"a\"}}\n\n",
     "| text=8+8 frames=4 content"},
    {"messages stream, too busy", MSG,
     MSG_START "event: error\ndata: "
               "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
               "\"Overloaded\"}}\n\n",
     "in=1125 cached=1000 created=100 out=1 total=1126 | claude-sonnet-4-5 text=0+0 frames=4 "
     "error-first"},
    {"responses json", AI_ENDPOINT_RESPONSES, ANSWER_JSON,
     "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"error\":null,"
     "\"incomplete_details\":null,"
     "\"model\":\"gpt-4.1\",\"output\":[{\"type\":\"message\",\"id\":\"m\",\"status\":"
     "\"completed\",\"role\":\"assistant\","
     "\"content\":[{\"type\":\"output_text\",\"text\":\"In a\",\"annotations\":[]}]}]," RESP_USAGE
     ",\"metadata\":{}}",
     "in=36 cached=0 out=87 reasoning=64 total=123 | gpt-4.1 completed text=4+0 frames=0 content "
     "finished ended"},
    {"responses stream", RESP,
     "event: response.created\ndata: "
     "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\","
     "\"status\":\"in_progress\",\"error\":null,\"model\":\"gpt-4.1\",\"usage\":null}}"
     "\n\n" RESP_DELTA("8", "In") RESP_DELTA("9", " a") RESP_DELTA(
         "10",
         " peaceful") "event: response.output_text.done\ndata: "
                      "{\"type\":\"response.output_text.done\",\"sequence_number\":11,\"text\":"
                      "\"In a peaceful\"}\n\n"
                      "event: response.completed\ndata: "
                      "{\"type\":\"response.completed\",\"sequence_number\":12,\"response\":{"
                      "\"id\":\"r\","
                      "\"status\":\"completed\",\"error\":null,\"model\":\"gpt-4.1\",\"output\":[{"
                      "\"content\":[{\"text\":\"In a peaceful\"}]}]," RESP_USAGE "}}\n\n",
     "in=36 cached=0 out=87 reasoning=64 total=123 | gpt-4.1 text=13+0 frames=6 content ended"},
    {"responses stream that fails", RESP,
     "data: "
     "{\"type\":\"response.failed\",\"sequence_number\":3,\"response\":{\"model\":\"m\",\"status\":"
     "\"failed\","
     "\"error\":{\"code\":\"server_error\",\"message\":\"x\"},\"usage\":null}}\n\n",
     "| m text=0+0 frames=1 error-first ended"},
    {"responses stream, audio is no text", RESP,
     "data: {\"type\":\"response.audio.delta\",\"delta\":\"AAAAAAAA\"}\n\n" RESP_DELTA("2", "ab"),
     "| text=2+2 frames=2 content"},
    {"predict", AI_ENDPOINT_KSERVE_V1_PREDICT, ANSWER_JSON,
     "{\"predictions\":[[1,2],[3,4],{\"a\":[5]}]}", "out=3 | text=0+0 frames=0 ended"},
    {"predict that fails", AI_ENDPOINT_KSERVE_V1_PREDICT, ANSWER_JSON,
     "{\"error\":\"Model not ready\"}", "| text=0+0 frames=0 error-first ended"},
    {"explain", AI_ENDPOINT_KSERVE_V1_EXPLAIN, ANSWER_JSON, "{\"explanations\":[1,2]}",
     "out=2 | text=0+0 frames=0 ended"},
    {"infer", AI_ENDPOINT_KSERVE_V2_INFER, ANSWER_JSON,
     "{\"model_name\":\"iris\",\"model_version\":\"1\",\"id\":\"x\",\"outputs\":[{\"name\":\"p\","
     "\"datatype\":\"INT64\","
     "\"shape\":[4,2],\"data\":[1,1,1,1,1,1,1,1]},{\"name\":\"q\",\"datatype\":\"FP32\",\"shape\":["
     "9],\"data\":[]}]}",
     "out=9 | iris text=0+0 frames=0 ended"},
    {"predict, columns", AI_ENDPOINT_KSERVE_V1_PREDICT, ANSWER_JSON,
     "{\"outputs\":[[0,1,2,3],[1,2,3,4],[2,3,4,5]]}", "out=3 | text=0+0 frames=0 ended"},
    {"predict, named columns", AI_ENDPOINT_KSERVE_V1_PREDICT, ANSWER_JSON,
     "{\"outputs\":{\"class\":[\"a\",\"b\"],\"scores\":[[0,1],[1,2],[2,3]],\"of\":\"x\"}}",
     "out=3 | text=0+0 frames=0 ended"},
    {"infer, a flag first", AI_ENDPOINT_KSERVE_V2_INFER, ANSWER_JSON,
     "{\"outputs\":[{\"shape\":[1],\"data\":[1]},{\"shape\":[300,2]},{\"shape\":[2,900]}]}",
     "out=300 | text=0+0 frames=0 ended"},
    {"infer, a shape that is none", AI_ENDPOINT_KSERVE_V2_INFER, ANSWER_JSON,
     "{\"outputs\":[{\"shape\":[\"3\"]},{\"shape\":7}]}", "invalid | text=0+0 frames=0 ended"},
    {"infer, binary tensors behind the JSON", AI_ENDPOINT_KSERVE_V2_INFER, ANSWER_OTHER,
     "{\"model_name\":\"m\",\"outputs\":[{\"name\":\"p\",\"shape\":[2,1],\"datatype\":\"FP32\","
     "\"parameters\":"
     "{\"binary_data_size\":8}}]}\x01\x02{}\xff",
     "out=2 | m text=0+0 frames=0 content ended"},
    {"infer, a scalar first", AI_ENDPOINT_KSERVE_V2_INFER, ANSWER_JSON,
     "{\"model_name\":\"m\",\"outputs\":[{\"shape\":[],\"data\":[1]},{\"shape\":[9]}]}",
     "out=9 | m text=0+0 frames=0 ended"},
    {"infer, tokens in parameters", AI_ENDPOINT_KSERVE_V2_INFER, ANSWER_JSON,
     "{\"model_name\":\"m\",\"parameters\":{\"prompt_tokens\":11,\"completion_tokens\":5,\"other\":"
     "true},\"outputs\":"
     "[{\"name\":\"t\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"abc\"]}]}",
     "in=11 out=5 total=16 | m text=0+0 frames=0 ended"},
    {"generate", AI_ENDPOINT_KSERVE_V2_GENERATE, ANSWER_JSON,
     "{\"text_output\":\"some "
     "text\",\"model_name\":\"m\",\"model_version\":\"1\",\"details\":{\"finish_reason\":\"stop\"}"
     "}",
     "| m text=9+9 frames=0 content ended"},
    {"generate stream", AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM, ANSWER_EVENTS,
     "data: {\"model_name\":\"m\",\"model_version\":\"1\",\"text_output\":\"so\"}\n\n"
     "data: {\"model_name\":\"m\",\"model_version\":\"1\",\"text_output\":\"me text\"}\n\n",
     "| m text=9+9 frames=2 content"},
    {"nothing at all", CHAT, "", "| text=0+0 frames=0"},
    {"nothing at all, of JSON", AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON, "",
     "| text=0+0 frames=0"},
};

static void format_count(struct buf *out, const char *name, bool has, int64_t count)
{
    if (has)
        buf_printf(out, "%s=%lld ", name, (long long)count);
}

static void format(struct buf *out, const struct answer_scan *s)
{
    const struct answer_facts *f = &s->facts;
    struct usage u;

    answer_scan_usage(s, &u);
    buf_clear(out);
    format_count(out, "in", u.has_input, u.input);
    format_count(out, "cached", u.has_cached_input, u.cached_input);
    format_count(out, "created", u.has_cache_creation_input, u.cache_creation_input);
    format_count(out, "out", u.has_output, u.output);
    format_count(out, "reasoning", u.has_reasoning, u.reasoning);
    format_count(out, "total", u.has_total, u.total);
    buf_printf(out, "%s| ", u.is_invalid ? "invalid " : "");
    if (f->model_len > 0)
        buf_printf(out, "%.*s ", f->model_len, f->model);
    if (f->finish_len > 0)
        buf_printf(out, "%.*s ", f->finish_len, f->finish);
    buf_printf(out, "text=%llu+%llu frames=%llu", (unsigned long long)f->text_bytes,
               (unsigned long long)answer_scan_open_text_bytes(s), (unsigned long long)f->n_frames);
    format_count(out, " unreadable", f->n_unreadable > 0, (int64_t)f->n_unreadable);
    if (f->n_unreadable > 0)
        out->len--;
    buf_printf(out, "%s%s%s%s", f->has_content ? " content" : "",
               f->is_error_first ? " error-first"
               : f->is_error     ? " error"
                                 : "",
               f->is_finished ? " finished" : "", f->is_ended ? " ended" : "");
}

/* In two parts, or, with `step`, in parts of that size behind `cut`. */
static void scan(struct answer_scan *s, const struct sample *sample, size_t cut, size_t step)
{
    struct str text = str_of(sample->text);

    answer_scan_feed(s, str_slice(text, 0, cut));
    for (size_t at = cut; at < text.len; at += step)
        answer_scan_feed(s, str_slice(text, at, at + step));
    answer_scan_end(s);
    answer_scan_end(s);
}

static void check(const struct sample *sample, bool uses_shapes, size_t cut, size_t step)
{
    static struct answer_scan s;
    static struct buf got;

    answer_scan_init(&s, sample->endpoint, sample->kind);
    s.uses_shapes = uses_shapes;
    scan(&s, sample, cut, step);
    format(&got, &s);
    CHECK_MSG(str_eq(buf_str(&got), str_of(sample->want)),
              "%s, cut %zu, steps of %zu%s:\n  got  %.*s\n  want %s", sample->name, cut, step,
              uses_shapes ? "" : ", the long way", STR_ARG(buf_str(&got)), sample->want);
}

TEST(every_shape_is_read_at_every_split)
{
    for (size_t i = 0; i < N_ELEMENTS(samples); i++) {
        const struct sample *sample = &samples[i];
        size_t len = strlen(sample->text);

        check(sample, false, len, 1);
        check(sample, true, len, 1);
        for (size_t cut = 0; cut < len; cut++)
            check(sample, true, cut, len);
        for (size_t step = 1; step < 20; step++)
            check(sample, true, 0, step);
    }
}

/* That the fast way is really taken: frames of one shape leave the JSON scan untouched. */
TEST(frames_of_a_known_shape_are_not_scanned)
{
    static struct answer_scan s;

    answer_scan_init(&s, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
    answer_scan_feed(&s, STR(DELTA("a") DELTA("b")));
    memset(&s.json, 0xff, sizeof s.json);
    answer_scan_feed(&s, STR(DELTA("") DELTA("cd \\\"\\n") DELTA("\xe2\x82\xac")));
    CHECK_INT(s.facts.text_bytes, 10);
    CHECK_INT(s.facts.n_frames, 5);
    CHECK_INT(s.json.state, 0xff);
}

TEST(content_and_errors_are_known_before_the_end)
{
    static struct answer_scan s;

    answer_scan_init(&s, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
    answer_scan_feed(&s, STR(DELTA("")));
    CHECK(!s.facts.has_content);
    answer_scan_feed(&s, STR(DELTA("x")));
    CHECK(s.facts.has_content && !s.facts.is_error);
    answer_scan_init(&s, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON);
    answer_scan_feed(&s, STR("{\"error\":{},"));
    CHECK(s.facts.is_error_first && !s.facts.has_content);
    answer_scan_init(&s, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_JSON);
    answer_scan_feed(&s, STR("{\"choices\":[{\"message\":{\"content\":\"x\""));
    CHECK(s.facts.has_content);
}

/* 10 MB in one frame: read as far as the bound, counted in full, and what follows is read as ever.
 */
TEST(a_huge_frame_passes)
{
    static struct answer_scan s;
    static char block[65536];
    struct usage u;

    memset(block, 'x', sizeof block);
    answer_scan_init(&s, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
    answer_scan_feed(&s, STR("data: {\"choices\":[{\"delta\":{\"content\":\""));
    for (int i = 0; i < 160; i++)
        answer_scan_feed(&s, str_make(block, sizeof block));
    answer_scan_feed(&s, STR("\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,"
                             "\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"));
    answer_scan_end(&s);
    answer_scan_usage(&s, &u);
    CHECK_INT(u.total, 3);
    CHECK(s.facts.is_ended && s.facts.has_content);
    CHECK(s.facts.text_bytes >= 160 * sizeof block &&
          s.facts.text_bytes < 160 * sizeof block + 100);
}

TEST(bytes_that_pass_unread_stand_for_text)
{
    static struct answer_scan s;

    answer_scan_init(&s, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
    answer_scan_feed(&s, STR(DELTA("abc")));
    answer_scan_skip(&s, 100);
    answer_scan_end(&s);
    CHECK_INT(answer_scan_open_text_bytes(&s), 103);
    answer_scan_init(&s, AI_ENDPOINT_EMBEDDINGS, ANSWER_JSON);
    answer_scan_skip(&s, 100);
    answer_scan_end(&s);
    CHECK_INT(answer_scan_open_text_bytes(&s), 0);
}

TEST(content_types_are_told_apart)
{
    CHECK(answer_kind_of(STR("text/event-stream")) == ANSWER_EVENTS);
    CHECK(answer_kind_of(STR(" Text/Event-Stream ; charset=utf-8")) == ANSWER_EVENTS);
    CHECK(answer_kind_of(STR("application/json")) == ANSWER_JSON);
    CHECK(answer_kind_of(STR("application/json; charset=utf-8")) == ANSWER_JSON);
    CHECK(answer_kind_of(STR("application/jsonl")) == ANSWER_OTHER);
    CHECK(answer_kind_of(STR("audio/mpeg")) == ANSWER_OTHER);
    CHECK(answer_kind_of(STR("")) == ANSWER_OTHER);
}

/* What a stream holds is this struct, and nothing else. */
TEST(memory_of_a_stream_is_bounded)
{
    CHECK(sizeof(struct answer_scan) <= 4096);
}
