// A client of tools from the official npm package, which does what `tools.py use` does, and prints the same.
//
// Usage: node tools.cjs URL

"use strict";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { CreateMessageRequestSchema, ElicitRequestSchema } = require("@modelcontextprotocol/sdk/types.js");

const told = (result) => ({
  text: (result.content ?? []).map((part) => part.text),
  data: result.structuredContent ?? null,
  failed: Boolean(result.isError),
  rule: result._meta?.agentguard?.rule ?? null,
});

async function outcome(call) {
  try {
    return told(await call);
  } catch (error) {
    return { raised: error.constructor.name, code: error.code, message: error.message };
  }
}

async function main() {
  const [url] = process.argv.slice(2);
  const client = new Client({ name: "test", version: "1" }, { capabilities: { sampling: {}, elicitation: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    role: "assistant",
    content: { type: "text", text: "in short" },
    model: "small",
  }));
  client.setRequestHandler(ElicitRequestSchema, () => ({
    action: "accept",
    content: { name: `a swan${" and another".repeat(20)}` },
  }));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));

  const seen = {};
  const progress = [];
  const use = (name, args, options) => outcome(client.callTool({ name, arguments: args }, undefined, options));
  seen.tools = (await client.listTools()).tools.map((tool) => tool.name);
  seen.found = await use("find_customer", { name: "Ada" });
  seen.deleted = await use("delete_customer", { name: "Ada" });
  seen.page = await use("read_page", { number: 1 });
  seen["bad page"] = await use("read_page", { number: 13 });
  seen.counted = await use("count_pages", {}, { onprogress: (step) => progress.push(step.message) });
  seen.progress = progress;
  seen.secret = await outcome(client.readResource({ uri: "file:///secret" }));
  const learned = async () => (await use("what_was_learned", {})).data;
  const before = JSON.stringify(await learned());
  seen.summary = await use("summarise", { text: "long" });
  seen.greeted = await use("greet", {});
  // The session lives on. What the client says to the server's request is on its way beside the next call.
  for (let asked = 0; asked < 50; asked += 1) {
    seen.learned = await learned();
    if (JSON.stringify(seen.learned) !== before) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await client.close();
  console.log(JSON.stringify(seen));
}

main();
