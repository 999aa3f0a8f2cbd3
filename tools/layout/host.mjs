// A host for the filter, without a proxy around it: as much of the Proxy-Wasm ABI 0.2.1 as the filter asks for. Its clock and its
// random numbers are the same in each run, so that the same module always does the same.

const OK = 0;
const NOT_FOUND = 1;
/** Another version of a shared value is there by now. */
const MISMATCH = 8;
const REQUEST = 0;
const RESPONSE = 1;
const REQUEST_HEADERS = 0;
const RESPONSE_HEADERS = 2;
const PLUGIN_CONFIGURATION = 7;
const ERROR = 4;
/** The environment: a key, as the policies name it. */
const VARIABLE = Buffer.from('AUDIT_KEY=a key of sixteen bytes and more\0');

/** Headers as the ABI has them: their number, the lengths of all, then all, each with a zero behind it. */
function serialised(headers) {
  const parts = headers.flat().map((part) => Buffer.from(String(part)));
  const lengths = Buffer.alloc(4 + 4 * parts.length);
  lengths.writeUInt32LE(headers.length);
  parts.forEach((part, number) => lengths.writeUInt32LE(part.length, 4 + 4 * number));
  return Buffer.concat([lengths, ...parts.flatMap((part) => [part, Buffer.of(0)])]);
}

export class Host {
  /** How often the filter has called each function of its host. */
  calls = {};

  /** What is at hand for the callback that runs. */
  #buffers = {};
  #maps = {};
  #replied = false;
  #clock = 1_800_000_000_000_000_000n;
  #metrics = 0;
  #contexts = 0;
  #complaints = [];
  /** What workers share: values with their versions. */
  #shared = new Map();

  constructor(module) {
    const imports = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      const provided = this.#functions[name] ?? (() => OK);
      imports[from] ??= {};
      imports[from][name] = (...operands) => {
        this.calls[name] = (this.calls[name] ?? 0) + 1;
        return provided(...operands);
      };
    }
    this.filter = new WebAssembly.Instance(module, imports).exports;
    this.filter._initialize();
  }

  /** Puts a policy in force and returns its context. */
  load(policy) {
    const root = ++this.#contexts;
    const configuration = Buffer.from(JSON.stringify(policy));
    this.#buffers = { [PLUGIN_CONFIGURATION]: configuration };
    this.filter.proxy_on_context_create(root, 0);
    this.filter.proxy_on_vm_start(root, 0);
    if (!this.filter.proxy_on_configure(root, configuration.length)) throw new Error(this.#complaints.join('\n'));
    return root;
  }

  /** A whole exchange. `around(number, pass)` has to call `pass` to hand over a part of the response. */
  exchange(root, request, response, around = (_, pass) => pass()) {
    const { filter } = this;
    const context = ++this.#contexts;
    this.#replied = false;
    this.#maps = { [REQUEST_HEADERS]: request.headers, [RESPONSE_HEADERS]: response.headers };
    this.#buffers = {};
    filter.proxy_on_context_create(context, root);
    const bare = request.body.length === 0;
    filter.proxy_on_request_headers(context, request.headers.length, bare ? 1 : 0);
    if (!bare && !this.#replied) {
      this.#buffers[REQUEST] = request.body;
      filter.proxy_on_request_body(context, request.body.length, 1);
    }
    if (!this.#replied) {
      const end = response.parts.length === 0;
      filter.proxy_on_response_headers(context, response.headers.length, end ? 1 : 0);
      let held = Buffer.alloc(0);
      response.parts.forEach((part, number) => {
        // Of what the filter holds Envoy shows all again with the next part; of what it let go, nothing.
        const shown = Buffer.concat([held, part]);
        this.#buffers[RESPONSE] = shown;
        const last = number + 1 === response.parts.length;
        const pause = around(number, () => filter.proxy_on_response_body(context, shown.length, last ? 1 : 0));
        held = pause ? shown : Buffer.alloc(0);
      });
    }
    filter.proxy_on_done(context);
    filter.proxy_on_log(context);
    filter.proxy_on_delete(context);
    if (this.#complaints.length > 0) throw new Error(this.#complaints.join('\n'));
  }

  #functions = {
    proxy_get_current_time_nanoseconds: (to) => {
      this.#clock += 1_000n;
      this.#view().setBigUint64(to, this.#clock, true);
      return OK;
    },
    proxy_log: (level, at, size) => {
      if (level >= ERROR) this.#complaints.push(this.#text(at, size));
      return OK;
    },
    proxy_get_header_map_pairs: (map, to, size_to) => this.#give(serialised(this.#maps[map] ?? []), to, size_to),
    proxy_get_buffer_bytes: (buffer, start, most, to, size_to) => {
      const data = this.#buffers[buffer];
      return data ? this.#give(data.subarray(start, start + most), to, size_to) : NOT_FOUND;
    },
    proxy_get_property: () => NOT_FOUND,
    proxy_get_shared_data: (at, size, to, size_to, version_to) => {
      const known = this.#shared.get(this.#text(at, size));
      if (!known) return NOT_FOUND;
      this.#view().setUint32(version_to, known.version, true);
      return this.#give(known.value, to, size_to);
    },
    proxy_set_shared_data: (at, size, value_at, value_size, version) => {
      const key = this.#text(at, size);
      const known = this.#shared.get(key)?.version ?? 0;
      if (version !== 0 && version !== known) return MISMATCH;
      const value = Buffer.from(this.#bytes().slice(value_at, value_at + value_size));
      this.#shared.set(key, { value, version: known + 1 });
      return OK;
    },
    proxy_define_metric: (_, at, size, to) => {
      this.#metrics += 1;
      this.#view().setUint32(to, this.#metrics, true);
      return OK;
    },
    proxy_send_local_response: () => {
      this.#replied = true;
      return OK;
    },
    environ_sizes_get: (count_to, size_to) => {
      this.#view().setUint32(count_to, 1, true);
      this.#view().setUint32(size_to, VARIABLE.length, true);
      return OK;
    },
    environ_get: (to, text_to) => {
      this.#bytes().set(VARIABLE, text_to);
      this.#view().setUint32(to, text_to, true);
      return OK;
    },
    random_get: (at, size) => {
      this.#bytes().fill(7, at, at + size);
      return OK;
    },
  };

  #bytes() {
    return new Uint8Array(this.filter.memory.buffer);
  }

  #view() {
    return new DataView(this.filter.memory.buffer);
  }

  #text(at, size) {
    return Buffer.from(this.#bytes().subarray(at, at + size)).toString();
  }

  /** Hands bytes over in memory that the filter allocates. */
  #give(data, to, size_to) {
    const at = this.filter.proxy_on_memory_allocate(data.length);
    this.#bytes().set(data, at);
    this.#view().setUint32(to, at, true);
    this.#view().setUint32(size_to, data.length, true);
    return OK;
  }
}
