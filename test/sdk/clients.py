"""The official clients behind one interface: call(operation, model, ...) answers a dict, either what came back or
{"error": class, "status": number, ...}. Python's run in this process, Node's in one of their own (client.mjs).
The clients' own retries are off: what the gateway answers is what a test sees."""
import json
import os
import pathlib
import subprocess

import anthropic
import openai

HERE = pathlib.Path(__file__).resolve().parent
NODE = pathlib.Path(os.environ.get("TOLLGATE_SDK_NODE", HERE.parents[1] / "build-sdk/node"))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "units": {"type": "array", "items": {"type": "string"}}},
          "required": ["city"]}
TOOL_RESULT = "7 degrees"


def describe(error):
    """A refusal as a client shows it."""
    body = getattr(error, "body", None)
    body = body if isinstance(body, dict) else {}
    inner = body.get("error") if isinstance(body.get("error"), dict) else body
    response = getattr(error, "response", None)
    return {"error": type(error).__name__, "status": getattr(error, "status_code", None), "type": inner.get("type"),
            "code": inner.get("code"), "retry_after": response.headers.get("retry-after") if response is not None else None}


class OpenaiPython:
    name = "openai-python"

    def __init__(self, url, key, headers):
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, default_headers=headers, max_retries=0, timeout=20)

    def call(self, operation, model=None, content="Hi"):
        try:
            return getattr(self, operation)(model, [{"role": "user", "content": content}])
        except openai.APIError as error:
            return describe(error)

    @staticmethod
    def usage(usage):
        return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens] if usage else None

    def chat(self, model, messages):
        made = self.client.chat.completions.create(model=model, messages=messages)
        choice = made.choices[0]
        return {"text": choice.message.content, "finish": choice.finish_reason, "usage": self.usage(made.usage)}

    def collect(self, stream):
        text, finish, usage, tools = "", None, None, {}
        for chunk in stream:
            usage = self.usage(chunk.usage) or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
                for part in choice.delta.tool_calls or []:
                    call = tools.setdefault(part.index, {"id": None, "name": "", "arguments": ""})
                    call["id"] = part.id or call["id"]
                    call["name"] += part.function.name or ""
                    call["arguments"] += part.function.arguments or ""
        return text, finish, usage, tools

    def chat_stream(self, model, messages, **more):
        text, finish, usage, _ = self.collect(self.client.chat.completions.create(model=model, messages=messages, stream=True, **more))
        return {"text": text, "finish": finish, "usage": usage}

    def chat_stream_usage(self, model, messages):
        return self.chat_stream(model, messages, stream_options={"include_usage": True})

    def tools(self, model, messages, stream=False):
        tools = [{"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": SCHEMA}}]
        made = self.client.chat.completions.create(model=model, messages=messages, tools=tools, stream=stream)
        if stream:
            _, finish, _, calls = self.collect(made)
            call = calls[0]
        else:
            finish, one = made.choices[0].finish_reason, made.choices[0].message.tool_calls[0]
            call = {"id": one.id, "name": one.function.name, "arguments": one.function.arguments}
        messages = [*messages,
                    {"role": "assistant", "tool_calls": [{"id": call["id"], "type": "function", "function": {
                        "name": call["name"], "arguments": call["arguments"]}}]},
                    {"role": "tool", "tool_call_id": call["id"], "content": TOOL_RESULT}]
        second = self.client.chat.completions.create(model=model, messages=messages, tools=tools)
        return {"name": call["name"], "arguments": json.loads(call["arguments"]), "finish": finish,
                "text": second.choices[0].message.content}

    def tools_stream(self, model, messages):
        return self.tools(model, messages, stream=True)

    def embeddings(self, model, _):
        return self.embed(model, encoding_format="float")

    def embeddings_by_default(self, model, _):
        return self.embed(model)

    def embed(self, model, **more):
        made = self.client.embeddings.create(model=model, input=["a", "b"], **more)
        return {"vectors": [item.embedding for item in made.data], "tokens": made.usage.total_tokens}

    def models(self, *_):
        return {"ids": [model.id for model in self.client.models.list()]}

    def responses(self, model, messages):
        made = self.client.responses.create(model=model, input=messages)
        return {"text": made.output_text, "usage": [made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens]}

    def responses_stream(self, model, messages):
        text, usage = "", None
        for event in self.client.responses.create(model=model, input=messages, stream=True):
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.completed":
                usage = event.response.usage
        return {"text": text, "usage": [usage.input_tokens, usage.output_tokens, usage.total_tokens]}


class AnthropicPython:
    name = "anthropic-python"

    def __init__(self, url, key, headers):
        self.client = anthropic.Anthropic(base_url=url, api_key=key, default_headers=headers, max_retries=0, timeout=20)

    def call(self, operation, model=None, content="Hi"):
        try:
            return getattr(self, operation)(model, [{"role": "user", "content": content}])
        except anthropic.APIError as error:
            return describe(error)

    @staticmethod
    def whole(message):
        return {"text": "".join(block.text for block in message.content if block.type == "text"),
                "finish": message.stop_reason, "usage": [message.usage.input_tokens, message.usage.output_tokens]}

    def chat(self, model, messages):
        return self.whole(self.client.messages.create(model=model, max_tokens=50, messages=messages, system="Be kind."))

    def chat_stream(self, model, messages):
        with self.client.messages.stream(model=model, max_tokens=50, messages=messages) as stream:
            text = "".join(stream.text_stream)
            made = self.whole(stream.get_final_message())
        assert made["text"] == text
        return made

    def tools(self, model, messages, stream=False):
        tools = [{"name": "weather", "description": "of a city", "input_schema": SCHEMA}]
        if stream:
            with self.client.messages.stream(model=model, max_tokens=50, messages=messages, tools=tools) as events:
                made = events.get_final_message()
        else:
            made = self.client.messages.create(model=model, max_tokens=50, messages=messages, tools=tools)
        call = next(block for block in made.content if block.type == "tool_use")
        messages = [*messages, {"role": "assistant", "content": made.content},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": TOOL_RESULT}]}]
        second = self.client.messages.create(model=model, max_tokens=50, messages=messages, tools=tools)
        return {"name": call.name, "arguments": call.input, "finish": made.stop_reason, "text": second.content[0].text}

    def tools_stream(self, model, messages):
        return self.tools(model, messages, stream=True)

    def models(self, *_):
        return {"ids": [model.id for model in self.client.models.list()]}


class Node:
    """client.mjs, which does the same by the clients for Node."""

    api = None

    def __init__(self, url, key, headers):
        self.where = {"api": self.api, "url": url, "key": key, "headers": headers, "schema": SCHEMA, "toolResult": TOOL_RESULT}

    def call(self, operation, model=None, content="Hi"):
        asked = {**self.where, "operation": operation, "model": model, "content": content}
        done = subprocess.run(["node", NODE / "client.mjs"], input=json.dumps(asked), capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class OpenaiNode(Node):
    name, api = "openai-node", "openai"


class AnthropicNode(Node):
    name, api = "anthropic-node", "anthropic"


OPENAI = [OpenaiPython, OpenaiNode]
ANTHROPIC = [AnthropicPython, AnthropicNode]
