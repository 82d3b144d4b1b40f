// One call of an official client for Node, told as JSON on standard input and answered as JSON on standard
// output; see clients.py, which does the same by the clients for Python.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const asked = JSON.parse(readFileSync(0, "utf8"));
const { model, schema, toolResult } = asked;
const messages = [{ role: "user", content: asked.content }];
const options = { apiKey: asked.key, defaultHeaders: asked.headers, maxRetries: 0, timeout: 20000 };

function openaiOperations() {
  const client = new OpenAI({ ...options, baseURL: `${asked.url}/v1` });
  const counts = (u) => (u ? [u.prompt_tokens, u.completion_tokens, u.total_tokens] : null);
  const responseCounts = (u) => [u.input_tokens, u.output_tokens, u.total_tokens];

  async function collect(stream) {
    const all = { text: "", finish: null, usage: null, calls: [] };
    for await (const chunk of stream) {
      all.usage = counts(chunk.usage) ?? all.usage;
      for (const choice of chunk.choices) {
        all.text += choice.delta.content ?? "";
        all.finish = choice.finish_reason ?? all.finish;
        for (const part of choice.delta.tool_calls ?? []) {
          const call = (all.calls[part.index] ??= { id: null, name: "", arguments: "" });
          call.id = part.id ?? call.id;
          call.name += part.function?.name ?? "";
          call.arguments += part.function?.arguments ?? "";
        }
      }
    }
    return all;
  }

  async function stream(more) {
    const { text, finish, usage } = await collect(
      await client.chat.completions.create({ model, messages, stream: true, ...more }));
    return { text, finish, usage };
  }

  async function tools(isStream) {
    const offered = [{ type: "function", function: { name: "weather", description: "of a city", parameters: schema } }];
    const made = await client.chat.completions.create({ model, messages, tools: offered, stream: isStream });
    let finish, call;
    if (isStream) {
      const all = await collect(made);
      [finish, call] = [all.finish, all.calls[0]];
    } else {
      const one = made.choices[0].message.tool_calls[0];
      [finish, call] = [made.choices[0].finish_reason, { id: one.id, ...one.function }];
    }
    const second = await client.chat.completions.create({
      model, tools: offered,
      messages: [...messages,
        { role: "assistant", tool_calls: [{ id: call.id, type: "function",
          function: { name: call.name, arguments: call.arguments } }] },
        { role: "tool", tool_call_id: call.id, content: toolResult }],
    });
    return { name: call.name, arguments: JSON.parse(call.arguments), finish, text: second.choices[0].message.content };
  }

  async function embeddings(more) {
    const made = await client.embeddings.create({ model, input: ["a", "b"], ...more });
    return { vectors: made.data.map((item) => item.embedding), tokens: made.usage.total_tokens };
  }

  return {
    async chat() {
      const made = await client.chat.completions.create({ model, messages });
      return { text: made.choices[0].message.content, finish: made.choices[0].finish_reason, usage: counts(made.usage) };
    },
    chat_stream: () => stream({}),
    chat_stream_usage: () => stream({ stream_options: { include_usage: true } }),
    tools: () => tools(false),
    tools_stream: () => tools(true),
    embeddings: () => embeddings({ encoding_format: "float" }),
    embeddings_by_default: () => embeddings({}),
    async models() {
      const ids = [];
      for await (const one of client.models.list()) ids.push(one.id);
      return { ids };
    },
    async responses() {
      const made = await client.responses.create({ model, input: messages });
      return { text: made.output_text, usage: responseCounts(made.usage) };
    },
    async responses_stream() {
      let text = "", usage = null;
      for await (const event of await client.responses.create({ model, input: messages, stream: true })) {
        if (event.type === "response.output_text.delta") text += event.delta;
        if (event.type === "response.completed") usage = responseCounts(event.response.usage);
      }
      return { text, usage };
    },
  };
}

function anthropicOperations() {
  const client = new Anthropic({ ...options, baseURL: asked.url });
  const whole = (m) => ({
    text: m.content.filter((b) => b.type === "text").map((b) => b.text).join(""),
    finish: m.stop_reason, usage: [m.usage.input_tokens, m.usage.output_tokens],
  });

  async function tools(isStream) {
    const body = { model, max_tokens: 50, messages,
      tools: [{ name: "weather", description: "of a city", input_schema: schema }] };
    const made = isStream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
    const call = made.content.find((block) => block.type === "tool_use");
    const second = await client.messages.create({ ...body,
      messages: [...messages, { role: "assistant", content: made.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: toolResult }] }] });
    return { name: call.name, arguments: call.input, finish: made.stop_reason, text: second.content[0].text };
  }

  return {
    chat: async () => whole(await client.messages.create({ model, max_tokens: 50, messages, system: "Be kind." })),
    chat_stream: async () => whole(await client.messages.stream({ model, max_tokens: 50, messages }).finalMessage()),
    tools: () => tools(false),
    tools_stream: () => tools(true),
    async models() {
      const ids = [];
      for await (const one of client.models.list()) ids.push(one.id);
      return { ids };
    },
  };
}

const operations = { openai: openaiOperations, anthropic: anthropicOperations }[asked.api]();
let answer;
try {
  answer = await operations[asked.operation]();
} catch (error) {
  // Of a connection that ends inside an answer, the clients pass on what fetch says.
  const isKnown = error instanceof OpenAI.OpenAIError || error instanceof Anthropic.AnthropicError;
  if (!isKnown && error.message !== "terminated") throw error;
  const inner = error.error?.error ?? error.error ?? {};
  answer = { error: error.constructor.name, status: error.status ?? null, type: inner.type ?? null,
    code: inner.code ?? null, retry_after: error.headers?.get?.("retry-after") ?? null };
}
process.stdout.write(JSON.stringify(answer));
