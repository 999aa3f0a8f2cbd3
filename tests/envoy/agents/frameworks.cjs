// An agent of Vercel's `ai` package in a conversation of two turns.
//
// Usage: node frameworks.cjs ADDRESS DOUBLE < QUESTIONS
//
// Questions and results are those of frameworks.py.

"use strict";

const readline = require("node:readline");
const { generateText, stepCountIs, streamText, tool } = require("ai");
const { createAnthropic } = require("@ai-sdk/anthropic");
const { createGoogleGenerativeAI } = require("@ai-sdk/google");
const { createOpenAI } = require("@ai-sdk/openai");
const { z } = require("zod");

const [address, double] = process.argv.slice(2).map((one) => `http://${one}`);
const openai = createOpenAI({ baseURL: `${address}/v1`, apiKey: "none" });
const anthropic = createAnthropic({ baseURL: `${address}/v1`, apiKey: "none" });
const google = createGoogleGenerativeAI({ baseURL: `${address}/v1beta`, apiKey: "none" });

const CLIENTS = {
  "ai responses": { model: openai.responses("gpt-5") },
  "ai unstored": { model: openai.responses("gpt-5"), options: { openai: { store: false } } },
  "ai previous": { model: openai.responses("gpt-5"), continues: true },
  "ai chat": { model: openai.chat("gpt-5") },
  "ai anthropic": { model: anthropic("claude-sonnet-4-5") },
  "ai google": { model: google("gemini-3-pro-preview") },
};

const asked = async (path, body) =>
  (await fetch(double + path, body && { method: "POST", body: JSON.stringify(body) })).json();

async function converse({ client, say, stream }, answers, ran) {
  const { model, options, continues } = CLIENTS[client];
  const does = (name, outcome) =>
    tool({
      description: `Does it: ${name}.`,
      inputSchema: z.object({ name: z.string() }),
      execute: async (input) => {
        ran.push(name);
        return `${input.name} ${outcome}`;
      },
    });
  const tools = {
    find_customer: does("find_customer", "is customer 7."),
    delete_customer: does("delete_customer", "is deleted."),
  };
  let messages = [];
  let providerOptions = options;
  for (const text of [say, "what now?"]) {
    messages.push({ role: "user", content: text });
    const question = { model, tools, messages, providerOptions, stopWhen: stepCountIs(5) };
    let result;
    if (stream) {
      let failed;
      result = streamText({ ...question, onError: ({ error }) => (failed = error) });
      await result.consumeStream();
      if (failed) throw failed;
    } else {
      result = await generateText(question);
    }
    const { messages: said, id } = await result.response;
    if (continues) {
      const metadata = await result.providerMetadata;
      providerOptions = { openai: { previousResponseId: metadata?.openai?.responseId ?? id } };
      messages = [];
    } else {
      messages.push(...said);
    }
    answers.push(await result.text);
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const question = JSON.parse(line);
    await asked("/-/scenario", question.tools);
    const result = { answers: [], ran: [] };
    try {
      await converse(question, result.answers, result.ran);
    } catch (error) {
      result.raised = error.constructor.name;
      result.message = error.message;
    }
    result.refused = await asked("/-/seen");
    console.log(JSON.stringify(result));
  }
}

main();
