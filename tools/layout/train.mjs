// Runs recorded exchanges through an instrumented filter and writes down which way its branches went:
//
//     node train.mjs INSTRUMENTED.wasm PROFILE POLICIES.json TEXTS.jsonl.gz TRAFFIC.jsonl…
//
// The host below knows as much of the Proxy-Wasm ABI 0.2.1 as the filter asks for. Its clock and its random numbers are the
// same in each run, so that the same module always has the same profile.
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const [module_file, profile_file, policies_file, texts_file, ...traffic_files] = process.argv.slice(2);

const OK = 0;
const NOT_FOUND = 1;
const REQUEST = 0;
const RESPONSE = 1;
const REQUEST_HEADERS = 0;
const RESPONSE_HEADERS = 2;
const PLUGIN_CONFIGURATION = 7;
const ERROR = 4;
/** The environment: a key, as the policies name it. */
const VARIABLE = Buffer.from('AUDIT_KEY=a key of sixteen bytes and more\0');
/** A part of the labelled texts has all kinds of findings and takes a second. */
const EVERY_TEXT = 8;
/** What a network hands over of an answer that is not cut into events by lines. */
const PIECE = 700;

/** What the host has at hand for the callback that runs. */
let buffers = {};
let maps = {};
let replied = false;
let clock = 1_800_000_000_000_000_000n;
let metrics = 0;
const complaints = [];

let filter;
const bytes = () => new Uint8Array(filter.memory.buffer);
const view = () => new DataView(filter.memory.buffer);
const text = (at, size) => Buffer.from(bytes().subarray(at, at + size)).toString();

/** Hands bytes over in memory that the filter allocates. */
function give(data, to, size_to) {
  const at = filter.proxy_on_memory_allocate(data.length);
  bytes().set(data, at);
  view().setUint32(to, at, true);
  view().setUint32(size_to, data.length, true);
  return OK;
}

/** Headers as the ABI has them: their number, the lengths of all, then all, each with a zero behind it. */
function serialised(headers) {
  const parts = headers.flat().map((part) => Buffer.from(String(part)));
  const lengths = Buffer.alloc(4 + 4 * parts.length);
  lengths.writeUInt32LE(headers.length);
  parts.forEach((part, number) => lengths.writeUInt32LE(part.length, 4 + 4 * number));
  return Buffer.concat([lengths, ...parts.flatMap((part) => [part, Buffer.of(0)])]);
}

const host = {
  proxy_get_current_time_nanoseconds(to) {
    clock += 1_000n;
    view().setBigUint64(to, clock, true);
    return OK;
  },
  proxy_log(level, at, size) {
    if (level >= ERROR) complaints.push(text(at, size));
    return OK;
  },
  proxy_get_header_map_pairs: (map, to, size_to) => give(serialised(maps[map] ?? []), to, size_to),
  proxy_get_buffer_bytes(buffer, start, most, to, size_to) {
    const data = buffers[buffer];
    return data ? give(data.subarray(start, start + most), to, size_to) : NOT_FOUND;
  },
  proxy_get_property: () => NOT_FOUND,
  proxy_define_metric(_, at, size, to) {
    metrics += 1;
    view().setUint32(to, metrics, true);
    return OK;
  },
  proxy_send_local_response() {
    replied = true;
    return OK;
  },
  environ_sizes_get(count_to, size_to) {
    view().setUint32(count_to, 1, true);
    view().setUint32(size_to, VARIABLE.length, true);
    return OK;
  },
  environ_get(to, text_to) {
    bytes().set(VARIABLE, text_to);
    view().setUint32(to, text_to, true);
    return OK;
  },
  random_get(at, size) {
    bytes().fill(7, at, at + size);
    return OK;
  },
};

const module = new WebAssembly.Module(readFileSync(module_file));
const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  imports[from] ??= {};
  imports[from][name] = host[name] ?? (() => OK);
}
filter = new WebAssembly.Instance(module, imports).exports;
filter._initialize();

let contexts = 0;

function load(policy) {
  const root = ++contexts;
  const configuration = Buffer.from(JSON.stringify(policy));
  buffers = { [PLUGIN_CONFIGURATION]: configuration };
  filter.proxy_on_context_create(root, 0);
  filter.proxy_on_vm_start(root, 0);
  if (!filter.proxy_on_configure(root, configuration.length)) throw new Error(complaints.join('\n'));
  return root;
}

function exchange(root, request, response) {
  const context = ++contexts;
  replied = false;
  maps = { [REQUEST_HEADERS]: request.headers, [RESPONSE_HEADERS]: response.headers };
  buffers = {};
  filter.proxy_on_context_create(context, root);
  const bare = request.body.length === 0;
  filter.proxy_on_request_headers(context, request.headers.length, bare ? 1 : 0);
  if (!bare && !replied) {
    buffers[REQUEST] = request.body;
    filter.proxy_on_request_body(context, request.body.length, 1);
  }
  if (!replied) {
    const end = response.parts.length === 0;
    filter.proxy_on_response_headers(context, response.headers.length, end ? 1 : 0);
    let held = Buffer.alloc(0);
    response.parts.forEach((part, number) => {
      // Of what the filter holds Envoy shows all again with the next part; of what it let go, nothing.
      buffers[RESPONSE] = Buffer.concat([held, part]);
      const last = number + 1 === response.parts.length;
      const pause = filter.proxy_on_response_body(context, buffers[RESPONSE].length, last ? 1 : 0);
      held = pause ? buffers[RESPONSE] : Buffer.alloc(0);
    });
  }
  filter.proxy_on_done(context);
  filter.proxy_on_log(context);
  filter.proxy_on_delete(context);
}

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

const roots = JSON.parse(readFileSync(policies_file)).map(load);
// A policy is loaded once, and by functions that no exchange needs.
new Uint8Array(filter.profile.buffer).fill(0);
for (const [request, response] of [...traffic, ...texts])
  for (const root of roots) exchange(root, request, response);
if (complaints.length > 0) throw new Error(complaints.join('\n'));
writeFileSync(profile_file, new Uint8Array(filter.profile.buffer));
