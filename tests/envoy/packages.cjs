// What the official npm packages of the providers make of answers.
//
// Usage: node packages.cjs FORMAT < LINES
//
// Lines, formats and results are those of packages.py. The packages speak HTTP/1.1 only.

"use strict";

const readline = require("node:readline");

// Texts that come in pieces, each under its numbers, in the order in which they began.
class Texts {
  #pieces = new Map();

  add(key, piece) {
    if (piece) this.#pieces.set(key, (this.#pieces.get(key) ?? "") + piece);
  }

  list() {
    return [...this.#pieces.keys()].sort((one, other) => one - other).map((key) => this.#pieces.get(key));
  }
}

// Empty texts say nothing, whether they are there or not.
const said = (texts) => texts.filter((text) => text);

const without = (body, ...names) => Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)));

class OpenAi {
  constructor(address) {
    const OpenAI = require("openai");
    this.client = new OpenAI({ baseURL: `http://${address}/v1`, apiKey: "none" });
  }
}

class OpenAiChat extends OpenAi {
  async whole(path, body) {
    return this.told(await this.client.chat.completions.create(body));
  }

  async stream(path, body) {
    const stream = this.client.chat.completions.stream(body);
    const texts = new Texts();
    for await (const chunk of stream) {
      for (const choice of chunk.choices) texts.add(choice.index, choice.delta.content);
    }
    const final = this.told(await stream.finalChatCompletion());
    return { ...final, texts: texts.list(), final: final.texts };
  }

  told({ choices }) {
    return {
      texts: said(choices.map(({ message }) => message.content || message.refusal)),
      tools: choices.flatMap(({ message }) =>
        (message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]),
      ),
      finish: choices.map((choice) => choice.finish_reason),
    };
  }
}

class OpenAiResponses extends OpenAi {
  async whole(path, body) {
    return this.told(await this.client.responses.create(body));
  }

  async stream(path, body) {
    const stream = this.client.responses.stream(body);
    const texts = new Texts();
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") {
        texts.add(event.output_index * 1000 + event.content_index, event.delta);
      }
    }
    const final = this.told(await stream.finalResponse());
    return { ...final, texts: texts.list(), final: final.texts };
  }

  told({ output, status }) {
    const parts = output.filter((item) => item.type === "message").flatMap((item) => item.content);
    const calls = output.filter((item) => item.type === "function_call");
    return {
      texts: said(parts.map((part) => part.text || part.refusal)),
      tools: calls.map((call) => [call.name, call.arguments]),
      finish: [status],
    };
  }
}

class AnthropicMessages {
  constructor(address) {
    const Anthropic = require("@anthropic-ai/sdk");
    this.client = new Anthropic({ baseURL: `http://${address}`, apiKey: "none" });
  }

  async whole(path, body) {
    return this.told(await this.client.messages.create(body));
  }

  async stream(path, body) {
    const stream = this.client.messages.stream(body);
    const texts = new Texts();
    for await (const event of stream) {
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") {
        texts.add(event.index, event.delta.text);
      }
    }
    const final = this.told(await stream.finalMessage());
    return { ...final, texts: texts.list(), final: final.texts };
  }

  told({ content, stop_reason }) {
    const calls = content.filter((block) => block.type === "tool_use");
    return {
      texts: said(content.filter((block) => block.type === "text").map((block) => block.text)),
      tools: calls.map((call) => [call.name, JSON.stringify(call.input)]),
      finish: [stop_reason],
    };
  }
}

class Gemini {
  constructor(address) {
    const { GoogleGenAI } = require("@google/genai");
    this.client = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: `http://${address}` } });
  }

  // What the caller of the package says goes in by its own road; the rest of the body beside it.
  asked(path, body) {
    return {
      model: path.split("/models/")[1].split(":")[0],
      contents: body.contents,
      config: { httpOptions: { extraBody: without(body, "contents") } },
    };
  }

  async whole(path, body) {
    return this.told([await this.client.models.generateContent(this.asked(path, body))]);
  }

  async stream(path, body) {
    return this.told(await this.client.models.generateContentStream(this.asked(path, body)));
  }

  async told(answers) {
    const texts = new Texts();
    const tools = [];
    const finish = [];
    for await (const answer of answers) {
      (answer.candidates ?? []).forEach((candidate, at) => {
        const index = candidate.index || at;
        for (const part of candidate.content?.parts ?? []) {
          if (part.text && !part.thought) texts.add(index, part.text);
          if (part.functionCall) tools.push([part.functionCall.name, JSON.stringify(part.functionCall.args)]);
        }
        if (candidate.finishReason) finish[index] = candidate.finishReason;
      });
    }
    return { texts: texts.list(), tools, finish };
  }
}

const PACKAGES = {
  "openai.chat": OpenAiChat,
  "openai.responses": OpenAiResponses,
  "anthropic.messages": AnthropicMessages,
  "gemini.generate": Gemini,
};

async function ask(client, { path, body, stream }) {
  try {
    return await (stream ? client.stream(path, body) : client.whole(path, body));
  } catch (error) {
    // Whatever the caller of the package would have got.
    return { raised: error.constructor.name, message: error.message };
  }
}

async function main() {
  const Package = PACKAGES[process.argv[2]];
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { address, questions } = JSON.parse(line);
    const client = new Package(address);
    const results = [];
    for (const question of questions) results.push(await ask(client, question));
    console.log(JSON.stringify(results));
  }
}

main();
