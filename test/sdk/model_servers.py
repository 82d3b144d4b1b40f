"""Stand-ins of two providers, as strict as the real ones about what they are asked and in the real ones' words.
The last user message says what to do: "fail 500" fails so, "break" breaks a stream midway, anything else is
answered; with tools offered, the first one is called, and its result is then told."""
import base64
import json
import re
import struct

from play.upstream import Answer

JSON_TYPE = [("content-type", "application/json")]
EVENTS_TYPE = [("content-type", "text/event-stream")]
ARGUMENTS = {"city": "Ulm", "units": ["C"]}
WORDS = ["Hello ", "from ", "the model: ", "grüße \U0001f600"]
TEXT = "".join(WORDS)
USAGE_IN, USAGE_OUT = 11, 7


def last_text(messages):
    content = messages[-1].get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def failure(messages):
    match = re.fullmatch(r"fail (\d+)", last_text(messages))
    return int(match[1]) if match else None


def halves(text):
    return [text[:len(text) // 2], text[len(text) // 2:]]


class Openai:
    """Chat, embeddings and responses; also under the paths of Azure."""

    USAGE = {"prompt_tokens": USAGE_IN, "completion_tokens": USAGE_OUT, "total_tokens": USAGE_IN + USAGE_OUT}

    def __call__(self, request, connection):
        try:
            asked = json.loads(request.body)
        except ValueError:
            return self.error(400, "not JSON")
        path = request.target.split("?")[0]
        if path.startswith("/openai/"):
            if request.get("api-key") != "azure-key" or "api-version=" not in request.target:
                return self.error(401, "no api-key or api-version")
            path = re.sub(r"^/openai(/deployments/[^/]+)?", "/v1", path)
        elif request.get("authorization") != "Bearer openai-key":
            return self.error(401, "Incorrect API key provided.")
        if path == "/v1/chat/completions":
            return self.chat(asked, connection)
        if path == "/v1/embeddings":
            vector = [0.5, -0.25]
            if asked.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
            data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(len(asked["input"]))]
            return self.json({"object": "list", "model": asked["model"], "data": data,
                              "usage": {"prompt_tokens": USAGE_IN, "total_tokens": USAGE_IN}})
        if path == "/v1/responses":
            return self.responses(asked)
        return self.error(404, f"Unknown path {request.target}")

    @staticmethod
    def json(document, status=200):
        return Answer(status=status, headers=JSON_TYPE, body=json.dumps(document).encode())

    def error(self, status, text):
        kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
        return self.json({"error": {"message": text, "type": kind, "param": None, "code": None}}, status)

    def chat(self, asked, connection):
        messages = asked["messages"]
        status = failure(messages)
        if status:
            return self.error(status, "as asked for")
        calls = "tools" in asked and messages[-1]["role"] != "tool"
        if "tools" in asked and messages[-1]["role"] == "tool":
            assert messages[-2]["tool_calls"][0]["id"] == messages[-1]["tool_call_id"]
            words = ["It is ", last_text(messages)]
        else:
            words = WORDS
        if asked.get("stream"):
            return self.chat_stream(asked, words, calls, connection)
        message = {"role": "assistant", "content": None if calls else "".join(words), "refusal": None}
        if calls:
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": {
                "name": asked["tools"][0]["function"]["name"], "arguments": json.dumps(ARGUMENTS)}}]
        return self.json({"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": asked["model"],
                          "choices": [{"index": 0, "message": message, "logprobs": None,
                                       "finish_reason": "tool_calls" if calls else "stop"}],
                          "usage": self.USAGE})

    def chat_stream(self, asked, words, calls, connection):
        def frame(delta, finish=None, **more):
            return self.frame({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
                               "model": asked["model"],
                               "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})
        deltas = [{"role": "assistant", "content": None if calls else ""}]
        if calls:
            name = asked["tools"][0]["function"]["name"]
            deltas.append({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                                           "function": {"name": name, "arguments": ""}}]})
            deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
                       for part in halves(json.dumps(ARGUMENTS))]
        else:
            deltas += [{"content": word} for word in words]
        frames = [frame(delta) for delta in deltas]
        if last_text(asked["messages"]) == "break":
            return broken_stream(connection, frames[:3])
        frames.append(frame({}, "tool_calls" if calls else "stop"))
        if asked.get("stream_options", {}).get("include_usage"):
            frames.append(self.frame({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
                                      "model": asked["model"], "choices": [], "usage": self.USAGE}))
        return Answer(headers=EVENTS_TYPE, chunks=[*frames, b"data: [DONE]\n\n"])

    @staticmethod
    def frame(document, name=None):
        return (f"event: {name}\n" if name else "").encode() + f"data: {json.dumps(document)}\n\n".encode()

    def responses(self, asked):
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": TEXT, "annotations": []}]}
        usage = {"input_tokens": USAGE_IN, "output_tokens": USAGE_OUT, "total_tokens": USAGE_IN + USAGE_OUT,
                 "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        whole = {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed", "error": None,
                 "model": asked["model"], "output": [item], "usage": usage, "parallel_tool_calls": True,
                 "tool_choice": "auto", "tools": [], "metadata": {}}
        if not asked.get("stream"):
            return self.json(whole)
        events = [("response.created", {"response": {**whole, "status": "in_progress", "output": [], "usage": None}})]
        events.append(("response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}))
        events += [("response.output_text.delta", {"item_id": "msg_1", "output_index": 0, "content_index": 0,
                                                   "delta": word, "logprobs": []}) for word in WORDS]
        events.append(("response.completed", {"response": whole}))
        return Answer(headers=EVENTS_TYPE, chunks=[self.frame({"type": name, "sequence_number": i, **body}, name)
                                                   for i, (name, body) in enumerate(events)])


class Anthropic:
    """Messages."""

    def __call__(self, request, connection):
        if request.get("x-api-key") != "anthropic-key":
            return self.error(401, "authentication_error", "invalid x-api-key")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", request.get("anthropic-version", "")):
            return self.error(400, "invalid_request_error", "anthropic-version: header is required")
        if request.target.split("?")[0] != "/v1/messages":
            return self.error(404, "not_found_error", f"Unknown path {request.target}")
        asked = json.loads(request.body)
        if not isinstance(asked.get("max_tokens"), int):
            return self.error(400, "invalid_request_error", "max_tokens: Field required")
        status = failure(asked["messages"])
        if status:
            kinds = {429: "rate_limit_error", 529: "overloaded_error", 400: "invalid_request_error"}
            return self.error(status, kinds.get(status, "api_error"), "as asked for")
        return self.message(asked, connection)

    @staticmethod
    def error(status, kind, text):
        return Openai.json({"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}, status)

    def message(self, asked, connection):
        result = self.tool_result(asked["messages"])
        calls = bool(asked.get("tools")) and result is None
        words = WORDS if result is None else ["It is ", result]
        content = [{"type": "text", "text": "".join(words)}]
        if calls:
            content = [{"type": "tool_use", "id": "toolu_1", "name": asked["tools"][0]["name"], "input": ARGUMENTS}]
        whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "content": content,
                 "stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None,
                 "usage": {"input_tokens": USAGE_IN, "output_tokens": USAGE_OUT}}
        if not asked.get("stream"):
            return Openai.json(whole)
        return self.stream(asked, whole, words, calls, connection)

    @staticmethod
    def tool_result(messages):
        content = messages[-1]["content"]
        if isinstance(content, str) or content[0]["type"] != "tool_result":
            return None
        assert content[0]["tool_use_id"] == messages[-2]["content"][-1]["id"]
        inner = content[0]["content"]
        return inner if isinstance(inner, str) else inner[0]["text"]

    @staticmethod
    def stream(asked, whole, words, calls, connection):
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in words]
        if calls:
            block = {**whole["content"][0], "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in ["", *halves(json.dumps(ARGUMENTS))]]
        start = {**whole, "content": [], "stop_reason": None, "usage": {"input_tokens": USAGE_IN, "output_tokens": 1}}
        events = [{"type": "message_start", "message": start},
                  {"type": "content_block_start", "index": 0, "content_block": block}, {"type": "ping"},
                  *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
                  {"type": "content_block_stop", "index": 0},
                  {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
                   "usage": {"output_tokens": USAGE_OUT}},
                  {"type": "message_stop"}]
        frames = [Openai.frame(event, event["type"]) for event in events]
        if last_text(asked["messages"]) == "break":
            return broken_stream(connection, frames[:5])
        return Answer(headers=EVENTS_TYPE, chunks=frames)


def broken_stream(connection, frames):
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for frame in frames:
        connection.send(b"%x\r\n%s\r\n" % (len(frame), frame))
