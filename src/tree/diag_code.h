/* What a finding can be, in one table. The word is stable, for tools (JSON, SARIF rule ids, tests);
 * the sentences are what SARIF tells of the rule: what it is, and what to do. */
#pragma once

/* id, word, what it is, what to do */
#define DIAG_CODES(X)                                                                              \
    X(UNREADABLE_FILE, "unreadable-file", "A file or folder cannot be read.",                      \
      "Correct the path, or the permissions of what it names.")                                    \
    X(BAD_YAML, "bad-yaml", "A document cannot be read as YAML or JSON.",                          \
      "Correct the syntax at that place. Tags, merge keys and keys that are no text are not "      \
      "read.")                                                                                     \
    X(SIZE_LIMIT, "size-limit", "A file, a document or their number is beyond a bound.",           \
      "Split or shorten what is named. The bounds are those of the reference of limits.")          \
    X(DUPLICATE_KEY, "duplicate-key", "A key stands twice in one mapping.",                        \
      "Keep one of the two: readers of YAML differ in which of them counts.")                      \
    X(UNKNOWN_FIELD, "unknown-field", "A field is not one of the API.",                            \
      "Correct its name; the hint has the one that is meant most likely.")                         \
    X(MISSING_FIELD, "missing-field", "A field that the API demands is not there.",                \
      "Add the field.")                                                                            \
    X(WRONG_TYPE, "wrong-type", "A value is of another type than its field.",                      \
      "Write a value of the type that is named; text that looks like a number needs quotes.")      \
    X(OUT_OF_RANGE, "out-of-range", "A value is outside of what its field may have.",              \
      "Choose a value within the range that is named.")                                            \
    X(INVALID_VALUE, "invalid-value", "A value is none that its field can have, or not there.",    \
      "Choose one of the values that are named, or leave the field out.")                          \
    X(UNKNOWN_KIND, "unknown-kind", "A document's apiVersion or kind is missing or not known.",    \
      "Correct apiVersion and kind. If it was to guard something, what it guards refuses.")        \
    X(NOT_FOR_GATEWAY, "not-for-a-gateway", "An object is not a gateway's business.",              \
      "Nothing needs to be done: it is passed over.")                                              \
    X(DUPLICATE_OBJECT, "duplicate-object", "An object is given twice.",                           \
      "Remove one of the two documents.")                                                          \
    X(UNSUPPORTED_FIELD, "unsupported-field", "A field or value of the API is not supported.",     \
      "Leave it out if it is not needed; the compatibility page says what is done instead.")       \
    X(NOT_ENFORCED, "not-enforced", "What a field asks for is not enforced yet.",                  \
      "Do not rely on it. Where it is about security, the routes concerned refuse meanwhile.")     \
    X(DANGLING_REFERENCE, "dangling-reference", "An object that is referred to is not there.",     \
      "Correct kind, name or namespace of the reference, or give the object that it names.")       \
    X(MISSING_CORE_OBJECT, "missing-core-object",                                                  \
      "A Secret, ConfigMap or Service that is referred to is not among the files.",                \
      "Give its manifest too; a cluster has it by other ways, files do not.")                      \
    X(MISSING_GRANT, "missing-grant", "A reference into another namespace is not permitted.",      \
      "Write a ReferenceGrant in the namespace of what is referred to.")                           \
    X(CONFLICT, "conflict", "Two objects or fields contradict each other.",                        \
      "Decide for one of the two; the message says which counts meanwhile.")                       \
    X(INEFFECTIVE, "ineffective", "Something that is written has no effect.",                      \
      "Attach it to what is meant, or remove it.")                                                 \
    X(BAD_CERTIFICATE, "bad-certificate", "A certificate, key or TLS setting cannot be used.",     \
      "Replace what is named: nothing is served or connected by it meanwhile.")                    \
    X(OLDER_FORM, "older-form", "A field has the form of an older version of its API.",            \
      "Write the newer form that is named; the older one is understood as well.")                  \
    X(DIFFERENCE, "difference", "Tollgate does here what other gateways do not.",                  \
      "Know it where the manifests serve elsewhere too; the compatibility page says more.")        \
    X(EMPTY, "empty", "A folder or file holds no manifest.",                                       \
      "Correct the path, or write the manifests there.")                                           \
    X(BYPASS, "bypass", "Something can be reached without the checks that guard it elsewhere.",    \
      "Put the same checks on each way that leads there, or remove the one without them.")         \
    X(PREFIX_WITHOUT_PREDICT, "prefix-without-predict",                                            \
      "A PathPrefix does not reach the :predict of its model.",                                    \
      "A prefix takes whole path elements: add a match of type Exact with :predict.")              \
    X(HEALTH_PATH, "health-path", "Model servers do not answer the path of a health check.",       \
      "KServe's own are /v2/health/ready and, of a model, /v2/models/NAME/ready.")                 \
    X(CLIENT_CHOSEN_COUNT, "client-chosen-count",                                                  \
      "A rate limit counts by a value that clients choose.",                                       \
      "Count by a header that a verified claim writes (claimToHeaders), or by the address.")       \
    X(UNSHARED_LIMIT, "unshared-limit", "A rate limit of a Gateway counts for each route apart.",  \
      "Set shared: true where one count for all routes is meant.")                                 \
    X(OPEN_AI_ROUTE, "open-ai-route", "Anybody may call a model through a route.",                 \
      "Attach a SecurityPolicy that demands a token, an API key or a password.")                   \
    X(CUT_STREAMS, "cut-streams", "A time limit ends streamed answers before they are whole.",     \
      "requestTimeout of a BackendTrafficPolicy ends where a stream begins: use that one.")        \
    X(OVERLAP, "overlap", "A match gets no request, since another is asked first.",                \
      "Remove it, or make it differ by host, path, method, header or query.")                      \
    X(CERTIFICATE_EXPIRY, "certificate-expiry", "A certificate has expired, or soon will.",        \
      "Renew it: clients and backends refuse it from its end on.")

enum diag_code {
#define X(id, word, text, help) DIAG_##id,
    DIAG_CODES(X)
#undef X
};
