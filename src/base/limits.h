/* Every bound on what an outsider can make the gateway hold, in one table. Each row: name, value,
 * unit, what it bounds. `LIMIT_<name>` is the constant; `tollgate docs limits` prints the table. */
#pragma once

#define LIMITS(X)                                                                                  \
    X(HEAD_BYTES, 65536, "bytes", "a request or response head; beyond: 431 or 502")                \
    X(HEADER_COUNT, 128, "headers",                                                                \
      "header lines of one head or trailer section; beyond: 431 or 502")                           \
    X(GRPC_MESSAGE_BYTES, 1024, "bytes", "a text that is told as grpc-message; beyond: cut")       \
    X(INTERIM_HEADS, 16, "heads", "interim (1xx) responses before the final one; beyond: 502")     \
    X(TRAILER_BYTES, 16384, "bytes", "a trailer section")                                          \
    X(CHUNK_LINE_BYTES, 1024, "bytes", "a chunk-size line with its extensions")                    \
    X(TARGET_BYTES, 16384, "bytes", "a request target; beyond: 414")                               \
    X(PIPE_HIGH_BYTES, 65536, "bytes", "one direction of a body held between reader and writer")   \
    X(H2_STREAMS, 100, "streams",                                                                  \
      "open at once on one HTTP/2 connection, unless a policy says otherwise; beyond: refused")    \
    X(H2_STREAMS_MAX, 1000, "streams", "what a policy may say of that at most")                    \
    X(H2_STREAM_WINDOW_BYTES, 16777216, "bytes",                                                   \
      "flow-control window of an HTTP/2 stream that a policy may ask for at most")                 \
    X(H2_WINDOW_BYTES, 67108864, "bytes", "the same of a connection")                              \
    X(H2_GLITCHES, 1000, "frames",                                                                 \
      "resets, empty and control frames of one HTTP/2 connection that go with no content, some "   \
      "forgiven by time and by requests that are served; beyond: the connection ends")             \
    X(H2_RESETS, 100, "streams",                                                                   \
      "reset by the gateway on one HTTP/2 connection to a backend; beyond: new ones go to "        \
      "another")                                                                                   \
    X(H2_YIELD_S, 1, "seconds",                                                                    \
      "how long a connection to a backend takes no new streams because another worker waits for "  \
      "its place; beyond, it serves again")                                                        \
    X(H2_KEEP_S, 10, "seconds", "until it yields the next time")                                   \
    X(H2_SILENCE_S, 60, "seconds",                                                                 \
      "silence of an HTTP/2 peer with requests under way, after which it is sent a PING")          \
    X(H2_PING_ANSWER_S, 20, "seconds", "for its answer; beyond: the connection is closed")         \
    X(PENDING_TENANTS, 1024, "tenants",                                                            \
      "that have shares of their own among the requests that wait for a connection to a "          \
      "backend; beyond: one share for the rest")                                                   \
    X(PROBE_ANSWER_BYTES, 16384, "bytes",                                                          \
      "content of an answer to a health check that is read; beyond: not looked at")                \
    X(EJECTION_S, 300, "seconds",                                                                  \
      "longest ejection of an endpoint by its answers, unless its base time is longer")            \
    X(MIRRORS, 64, "copies", "mirrored requests of one worker under way; beyond: no copy")         \
    X(MIRROR_BYTES, 1048576, "bytes", "request content kept for a mirror; beyond: no copy")        \
    X(REFUSED_CONNECTIONS, 256, "connections",                                                     \
      "beyond a policy's limit, of one worker, that wait for its `closeDelay`; beyond: closed at " \
      "once")                                                                                      \
    X(SOCKET_BUFFER_BYTES, 16777216, "bytes",                                                      \
      "what a policy may ask for as `socketBufferLimit` at most")                                  \
    X(BACKEND_BUFFER_BYTES, 16777216, "bytes",                                                     \
      "what a BackendTrafficPolicy may ask for as `connection.bufferLimit` at most")               \
    X(PROXY_HEADER_BYTES, 4096, "bytes",                                                           \
      "a connection's PROXY protocol header, what it says beyond addresses included; beyond: "     \
      "closed")                                                                                    \
    X(CLIENT_CHAIN_BYTES, 32768, "bytes",                                                          \
      "the certificates that a client presents; beyond: no handshake")                             \
    X(TLS_SESSIONS, 4096, "sessions",                                                              \
      "of TLS 1.2 that are remembered by id; beyond: the least recently used goes")                \
    X(TLS_SESSION_BYTES, 4096, "bytes",                                                            \
      "such a session, with the client's certificate; beyond: not remembered")                     \
    X(OCSP_BYTES, 16384, "bytes", "an OCSP response to be stapled; beyond: not stapled")           \
    X(TLS_IDLE_RECORDS, 32, "records",                                                             \
      "of TLS that bring no content, beyond one for each that does; then it is reset")             \
    X(TICKET_KEY_S, 3600, "seconds",                                                               \
      "age at which the key of TLS session tickets is replaced; tickets of the two before it "     \
      "are taken")                                                                                 \
    X(TOKEN_BYTES, 16384, "bytes", "a JSON Web Token")                                             \
    X(TOKEN_JSON_DEPTH, 16, "levels", "nesting of a token's JSON")                                 \
    X(TOKEN_MEMORY_ENTRIES, 4096, "tokens", "verified tokens remembered by one worker")            \
    X(TOKEN_MEMORY_BYTES, 8388608, "bytes", "verified tokens remembered by one worker")            \
    X(BASIC_CREDENTIAL_BYTES, 1024, "bytes", "a user name with its password; beyond: 401")         \
    X(PASSWORD_MEMORY_ENTRIES, 4096, "pairs", "verified passwords remembered by one worker")       \
    X(PASSWORD_QUEUE, 256, "passwords",                                                            \
      "passwords that wait to be hashed, of all workers; beyond: 503")                             \
    X(PASSWORD_QUEUE_PER_SOURCE, 64, "passwords", "those of one client address; beyond: 503")      \
    X(EXT_AUTH_ANSWER_BYTES, 65536, "bytes",                                                       \
      "the content of an external authorizer's answer; beyond: the answer counts as none")         \
    X(NAME_ADDRESSES, 1024, "addresses", "of one name; beyond: not used")                          \
    X(NAME_STALE_S, 86400, "seconds",                                                              \
      "age of a name's addresses that serve on while its servers fail; beyond: 503")               \
    X(EXCHANGES, 65536, "requests", "under way in one worker; beyond: 503")                        \
    X(UPSTREAM_CONNECTIONS, 262144, "connections",                                                 \
      "to backends, of all workers, or half of the descriptors beyond 64 where these are fewer; "  \
      "beyond: those unused longest are closed, then 503")                                         \
    X(SHED_BYTES, 1048576, "bytes",                                                                \
      "that wait for a connection's peer, from which on it may be reset where memory runs short")  \
    X(KEY_SET_BYTES, 262144, "bytes", "a fetched or inline JSON Web Key Set")                      \
    X(KEY_SET_KEYS, 64, "keys", "keys of one set")                                                 \
    X(KEY_SET_STALE_S, 86400, "seconds",                                                           \
      "age of a key set that serves on while its source is down; beyond: 503")                     \
    X(MANIFEST_FILE_BYTES, 16777216, "bytes", "one manifest file")                                 \
    X(MANIFEST_TOTAL_BYTES, 268435456, "bytes", "all manifest files of one load")                  \
    X(HISTORY_REVISIONS, 100, "revisions",                                                         \
      "configurations that are kept; beyond: the oldest ones go")                                  \
    X(HISTORY_BYTES, 268435456, "bytes",                                                           \
      "of the files of all that are kept, what several share counted once; beyond: so too")        \
    X(HISTORY_WAITING, 8, "configurations",                                                        \
      "that wait to be kept; beyond: the one that waits longest is not")                           \
    X(HISTORY_WAIT_S, 5, "seconds",                                                                \
      "that a load waits for who writes an older revision back; beyond: it reads what is there")   \
    X(HISTORY_RECORD_BYTES, 16777216, "bytes", "the record of one, with the names of its files")   \
    X(DIFF_CELLS, 4194304, "pairs of lines",                                                       \
      "that are compared of one object's two texts; beyond: told as replaced")                     \
    X(MANIFEST_FILES, 20000, "files", "files of one load")                                         \
    X(MANIFEST_FOLDER_DEPTH, 32, "folders", "folders inside folders of manifests")                 \
    X(MANIFEST_DOCUMENTS, 100000, "documents", "objects of one load")                              \
    X(MANIFEST_NODES, 4000000, "nodes", "nodes of all documents of one load")                      \
    X(YAML_DEPTH, 64, "levels", "nesting of a YAML document")                                      \
    X(YAML_ALIASES, 100, "aliases", "aliases expanded in one document")                            \
    X(YAML_NODES, 1000000, "nodes", "nodes of one document, aliases expanded")                     \
    X(DIAGNOSTICS, 1000, "messages", "diagnostics kept of one load; further ones are counted")     \
    X(AI_BODY_BYTES, 268435456, "bytes",                                                           \
      "the body of a request to an AI endpoint, or of a call of gRPC whose model is read; "        \
      "beyond: 413")                                                                               \
    X(HELD_BODY_BYTES, 134217728, "bytes",                                                         \
      "such a body while its model is not known yet; beyond: 413")                                 \
    X(EDITED_BODY_BYTES, 33554432, "bytes",                                                        \
      "such a body where a backend gets another one made of it, or any by requestBuffer; beyond: " \
      "413")                                                                                       \
    X(HELD_BYTES, 268435456, "bytes",                                                              \
      "request bodies that one worker holds while it looks for their models; beyond: 503; or for " \
      "further tries; beyond: none")                                                               \
    X(REPLAY_BYTES, 1048576, "bytes",                                                              \
      "a request body kept for further tries of a policy; beyond: there are none once it is sent") \
    X(RETRIES, 100, "tries", "further ones of one request, whatever a policy says")                \
    X(HELD_ANSWER_BYTES, 67108864, "bytes",                                                        \
      "answers that one worker holds until they can be translated; beyond: 503; or until they "    \
      "are known to be answers; beyond: passed on")                                                \
    X(MODEL_NAME_BYTES, 512, "bytes", "a model name in a path or a body; beyond: 400")             \
    X(JSON_DEPTH, 256, "levels", "nesting of a JSON body of an AI endpoint; beyond: 400")          \
    X(EVENT_BYTES, 8388608, "bytes",                                                               \
      "data of one event-stream frame that is read; the rest passes unread")                       \
    X(EVENT_SHAPE_BYTES, 1024, "bytes",                                                            \
      "a frame remembered so that the next ones of its shape are read faster")                     \
    X(EVENT_HELD_BYTES, 16384, "bytes",                                                            \
      "a frame held back while its usage may have to be taken out; beyond: passed on as it is")    \
    X(DECODER_BYTES, 10485760, "bytes",                                                            \
      "memory for reading one compressed answer; beyond: unread")                                  \
    X(DECODED_RATIO, 100, "times", "growth of a compressed answer that is read; beyond: unread")   \
    X(DECODED_SLACK_BYTES, 1048576, "bytes", "decompressed before that growth counts")             \
    X(ENCODER_BYTES, 16777216, "bytes",                                                            \
      "memory for compressing one answer; beyond: windows and levels of a policy are lowered")     \
    X(ENCODERS_BYTES, 134217728, "bytes",                                                          \
      "of one worker for that; beyond: answers are compressed by another coding, or not")          \
    X(USAGE_TOKENS, 1000000000, "tokens", "one count of a provider's; beyond: ignored")            \
    X(TRANSLATE_BYTES, 8388608, "bytes",                                                           \
      "a request or an answer that is translated to another provider's API; beyond: 400 or 502")   \
    X(TRANSLATE_DEPTH, 128, "levels", "nesting of such a document; beyond: 400 or 502")            \
    X(TRANSLATE_VALUES, 200000, "values", "values of such a document; beyond: 400 or 502")         \
    X(CEL_BYTES, 16384, "bytes", "an expression in CEL: a cost, a match of an access log")         \
    X(CEL_DEPTH, 256, "levels", "nesting of such an expression, chains of operators too")          \
    X(CEL_TEXT_BYTES, 4096, "bytes",                                                               \
      "texts that one joins for one request; beyond: all tokens are charged, no match")            \
    X(MULTIPART_HEAD_BYTES, 4096, "bytes", "the head of one part of form data; beyond: 400")       \
    X(MULTIPART_PARTS, 1024, "parts", "parts of one form; beyond: 400")                            \
    X(MULTIPART_OPTION_BYTES, 64, "bytes",                                                         \
      "the fields `stream` and `response_format` of form data; beyond: 400")                       \
    X(ROUTE_CONDITIONS, 1024, "conditions", "header and query conditions of one route match")      \
    X(REGEX_BYTES, 1024, "bytes", "a pattern in a manifest")                                       \
    X(REGEX_MATCH_STEPS, 100000, "steps", "work of one pattern match; beyond: 500")                \
    X(DISTINCT_VALUES, 65536, "values",                                                            \
      "values that one rate-limit rule with a Distinct part counts at a time; beyond: expired "    \
      "ones leave, then requests with new ones are refused (429)")                                 \
    X(MODEL_AVERAGES, 1024, "models",                                                              \
      "models whose average length of answers is kept; beyond: the one used longest ago leaves")   \
    X(HELD_SOCKETS, 4096, "sockets",                                                               \
      "listening sockets that the parent holds for the gateway's process, or 32 less than its "    \
      "descriptors where these are fewer; beyond: those that wait for a child leave, then the "    \
      "port is refused")                                                                           \
    X(TAKEOVER_SOCKETS, 4096, "sockets",                                                           \
      "listening sockets that a gateway takes over from another (--takeover); beyond: the other "  \
      "goes on")                                                                                   \
    X(TAKEOVER_MESSAGE_BYTES, 65536, "bytes",                                                      \
      "a message between the two; a count whose names do not fit is not handed over")              \
    X(TAKEOVER_ANSWER_S, 5, "seconds",                                                             \
      "for the answer of the other at each step; beyond: as above")                                \
    X(TAKEOVER_ASK_MS, 500, "milliseconds",                                                        \
      "that a request in a process that is taken over waits for the other's judgement of its "     \
      "limits; beyond: judged by what is known there")                                             \
    X(TAKEOVER_ENDPOINTS, 65536, "endpoints",                                                      \
      "whose connections a process that is taken over may tell of; beyond: it opens no more")      \
    X(TAKEOVER_PLACES, 1000000, "places",                                                          \
      "that one message of it says are taken or given back; beyond: it is heard no more")          \
    X(TAKEOVER_MEMORY_S, 60, "seconds",                                                            \
      "after its end until what only it knew of endpoints that no name has led to is forgotten")   \
    X(TAKEOVER_LOAD_S, 300, "seconds",                                                             \
      "for the configuration of the one that takes over; beyond: as above")                        \
    X(ADMIN_BODY_BYTES, 4096, "bytes", "a request body on the admin or probe port; beyond: 413")   \
    X(EXPLAIN_BODY_BYTES, 1048576, "bytes",                                                        \
      "the body of a request that is explained; beyond: not explained")                            \
    X(EXPLAIN_ANSWER_BYTES, 16384, "bytes",                                                        \
      "of the gateway's own answer that an explanation shows; beyond: cut")                        \
    X(EXPLAIN_RULES, 100, "rules",                                                                 \
      "that an explanation lists, the nearest first; the others are counted")                      \
    X(ADMIN_CONNECTIONS, 64, "connections",                                                        \
      "open connections of the admin or the probe port; beyond: the longest idle one is closed")   \
    X(OBJECTS_BYTES, 33554432, "bytes",                                                            \
      "what is told of objects at a time, by `get`, `describe` and the admin port; beyond: ask "   \
      "for fewer")                                                                                 \
    X(LOG_MEMORY_BYTES, 262144, "bytes",                                                           \
      "last lines of the gateway's own log, kept for `tollgate logs`; older ones are gone")        \
    X(LIVE_STREAMS, 8, "streams", "of the live page at once; beyond: 503")                         \
    X(LIVE_BYTES_PER_S, 19500, "bytes", "of one such stream; beyond: parts of the picture wait")   \
    X(LIVE_SILENT_S, 10, "seconds",                                                                \
      "for which the reader of one may take nothing; beyond: it is closed")                        \
    X(LIVE_ROWS, 8192, "rows",                                                                     \
      "of each kind that the live page counts (routes, backends, tenants with models); beyond: "   \
      "not shown")                                                                                 \
    X(REFUSALS_KEPT, 32, "requests", "the last ones of a worker that were refused, for the page")  \
    X(LOG_RING_BYTES, 4194304, "bytes",                                                            \
      "access-log lines of one worker that wait for the writer; beyond: dropped, counted")         \
    X(TRACE_STATE_BYTES, 512, "bytes",                                                             \
      "a `tracestate` that goes on; beyond: members are left out")                                 \
    X(SPAN_VALUE_BYTES, 512, "bytes", "one text of a span; beyond: cut")                           \
    X(SPAN_TAGS, 64, "tags", "that one EnvoyProxy adds to spans; beyond: the first ones")          \
    X(EXPORT_RING_BYTES, 1048576, "bytes",                                                         \
      "spans of one worker that wait to be exported; beyond: dropped, counted")                    \
    X(EXPORT_ITEM_BYTES, 65536, "bytes", "one of them, or one metric; beyond: dropped, counted")   \
    X(EXPORT_QUEUE_BYTES, 4194304, "bytes",                                                        \
      "that wait for one collector; beyond: dropped, counted")                                     \
    X(EXPORT_BATCH_BYTES, 524288, "bytes", "of one export")                                        \
    X(EXPORT_BATCH_ITEMS, 512, "spans", "of one export")                                           \
    X(EXPORT_TRIES, 5, "tries", "of one export; beyond: dropped, counted")                         \
    X(EXPORT_PAUSE_S, 30, "seconds", "between them, whatever the collector says")                  \
    X(EXPORT_ANSWER_BYTES, 65536, "bytes", "a collector's answer that is read; beyond: unread")    \
    X(EXPORT_FLUSH_S, 5, "seconds", "for what still waits when the gateway ends; beyond: dropped") \
    X(LOG_SINK_BYTES, 1048576, "bytes",                                                            \
      "access-log lines that wait for a slow file or pipe; beyond: dropped, counted")              \
    X(LOG_SINKS, 256, "files", "that access logs are written to at a time; beyond: a warning")     \
    X(LOG_FORMAT_BYTES, 16384, "bytes", "one access-log format")                                   \
    X(LOG_LINE_BYTES, 131072, "bytes",                                                             \
      "one line of an access log; beyond: its longest values are cut")                             \
    X(METRIC_SERIES, 8192, "series",                                                               \
      "label combinations of one metric and worker; beyond: counted as `other`")                   \
    X(METRIC_HISTOGRAMS, 2048, "series",                                                           \
      "the same of a histogram, whose series print 20 lines each")                                 \
    X(READINGS_PER_COUNTER, 100, "values",                                                         \
      "of one rate limit's distinct values shown to who watches, the latest first")                \
    X(READINGS, 2000, "values", "of all rate limits together")

enum limit_value {
#define X(name, value, unit, text) LIMIT_##name = (value),
    LIMITS(X)
#undef X
};

struct limit_row {
    const char *name;
    unsigned long value;
    const char *unit;
    const char *text;
};

/* Terminated by a row whose name is NULL. */
extern const struct limit_row limit_rows[];
