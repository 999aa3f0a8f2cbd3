// Runs exchanges through a metered filter and writes down what each made it run and touch:
//
//     node count.mjs METERED.wasm EXCHANGES.json RUNS.json
import { readFileSync, writeFileSync } from 'node:fs';
import { Host } from './host.mjs';

const [module_file, exchanges_file, runs_file] = process.argv.slice(2);

/** What is built once and then kept is built by these. */
const WARM_UP = 20;
/** Where memory is free differs from one exchange to the next, and so do the lines that are touched. */
const COUNTED = 10;

const module = new WebAssembly.Module(readFileSync(module_file));

/** What became of an exchange, by what the filter called. */
const outcome = (calls) =>
  calls.proxy_send_local_response ? 'denied' : calls.proxy_set_buffer_bytes ? 'rewritten' : 'passed';

/** Five letters of their own for each number. */
const letters = (number) =>
  Array.from({ length: 5 }, (_, place) => String.fromCharCode(97 + (Math.floor(number / 26 ** place) % 26))).join('');

function run({ name, policy, outcome: expected, request, response, new_word, part }) {
  const host = new Host(module);
  const root = host.load(policy);
  const bytes = (text, number) =>
    Buffer.from(new_word === null ? text : text.replaceAll(new_word, letters(number)));
  const sent = (number) => ({ headers: request.headers, body: bytes(request.body, number) });
  const received = (number) => ({
    headers: response.headers,
    parts: response.parts.map((part) => bytes(part, number)),
  });
  for (let number = 0; number < WARM_UP; number += 1) host.exchange(root, sent(number), received(number));

  const counted = [];
  /** Counts what it makes the filter do. */
  const count = (act) => {
    const { counts, touched } = host.filter;
    for (const { buffer } of [counts, touched]) new Uint8Array(buffer).fill(0);
    host.calls = {};
    const result = act();
    const words = Array.from(new Uint32Array(counts.buffer).entries());
    counted.push({ host_calls: { ...host.calls }, counts: words.filter(([, count]) => count > 0) });
    return result;
  };
  if (part === null) {
    for (let number = WARM_UP; number < WARM_UP + COUNTED; number += 1) {
      const [question, answer] = [sent(number), received(number)];
      count(() => host.exchange(root, question, answer));
    }
  } else {
    const wanted = (number) => number >= part && number < part + COUNTED;
    host.exchange(root, sent(WARM_UP), received(WARM_UP), (number, pass) => (wanted(number) ? count(pass) : pass()));
  }
  for (const { host_calls } of counted) {
    const became = outcome(host_calls);
    if (became !== expected) throw new Error(`${name}: it is ${became}, not ${expected}`);
  }
  return { name, counted };
}

const exchanges = JSON.parse(readFileSync(exchanges_file));
writeFileSync(runs_file, JSON.stringify(exchanges.map(run)));
