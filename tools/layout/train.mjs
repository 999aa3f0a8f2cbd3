// Runs recorded exchanges through an instrumented filter and writes down which way its branches went:
//
//     node train.mjs INSTRUMENTED.wasm PROFILE POLICIES.json TEXTS.jsonl.gz TRAFFIC.jsonl…
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Host } from './host.mjs';

const [module_file, profile_file, policies_file, texts_file, ...traffic_files] = process.argv.slice(2);

/** A part of the labelled texts has all kinds of findings and takes a second. */
const EVERY_TEXT = 8;
/** What a network hands over of an answer that is not cut into events by lines. */
const PIECE = 700;

/** A recorded exchange as it passes a proxy. */
function recorded({ request, response }) {
  const body = ({ body, body_encoding }) => Buffer.from(body ?? '', body_encoding === 'base64' ? 'base64' : 'utf8');
  const pseudo = [[':authority', request.host], [':path', request.path], [':method', request.method], [':scheme', 'https']];
  const answer = body(response);
  return [
    { headers: [...pseudo, ...Object.entries(request.headers)], body: body(request) },
    {
      headers: [[':status', response.status], ...Object.entries(response.headers)],
      parts: parts(answer, /event/.test(response.headers['content-type'] ?? '')),
    },
  ];
}

/** Whole answers come in one part, streams in many. */
function parts(answer, streams) {
  if (answer.length === 0) return [];
  if (!streams) return [answer];
  const events = answer.toString('latin1').split(/(?<=\n\r?\n)/);
  if (events.length > 1) return events.map((event) => Buffer.from(event, 'latin1'));
  return Array.from({ length: Math.ceil(answer.length / PIECE) }, (_, number) =>
    answer.subarray(number * PIECE, (number + 1) * PIECE));
}

/** A text in a question, and in its answer. */
function asked(content) {
  const json = (value) => Buffer.from(JSON.stringify(value));
  const type = ['content-type', 'application/json'];
  return [
    {
      headers: [[':authority', 'api.openai.com'], [':path', '/v1/chat/completions'], [':method', 'POST'], type],
      body: json({ model: 'gpt-4o-mini', messages: [{ role: 'user', content }] }),
    },
    {
      headers: [[':status', '200'], type],
      parts: [json({ object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] })],
    },
  ];
}

const lines = (data) => data.toString().split('\n').filter(Boolean).map((line) => JSON.parse(line));
const traffic = traffic_files.flatMap((file) => lines(readFileSync(file)).map(recorded));
const texts = lines(gunzipSync(readFileSync(texts_file)))
  .filter((_, number) => number % EVERY_TEXT === 0)
  .map(({ text }) => asked(text));

const host = new Host(new WebAssembly.Module(readFileSync(module_file)));
const roots = JSON.parse(readFileSync(policies_file)).map((policy) => host.load(policy));
const profile = () => new Uint8Array(host.filter.profile.buffer);
// A policy is loaded once, and by functions that no exchange needs.
profile().fill(0);
for (const [request, response] of [...traffic, ...texts])
  for (const root of roots) host.exchange(root, request, response);
writeFileSync(profile_file, profile());
