"""Checks a Wasm filter: its size against a budget, and that every host it is meant for can load it.

Envoy refuses a whole module for one import that it does not know, used or not: 1.36 knows no file calls, so a single
`std::fs::read` in unreached code would keep the filter from loading there.

Usage: module.py MODULE BUDGET_IN_BYTES
"""

import sys

# What a filter of the Rust SDK needs of WASI, and all that the oldest supported Envoy offers of it.
WASI = {
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
    "random_get",
}
IMPORT_SECTION = 2


class Reader:
    """The binary format of WebAssembly, as far as its imports."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def bytes(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise ValueError("the module ends too early")
        self.at += count
        return piece

    def number(self):
        result = shift = 0
        while True:
            byte = self.bytes(1)[0]
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    def name(self):
        return self.bytes(self.number()).decode()

    def limits(self):
        flags = self.number()
        self.number()
        if flags & 1:
            self.number()

    def import_kind(self):
        kind = self.number()
        if kind == 0:  # a function: its type
            self.number()
        elif kind == 1:  # a table
            self.bytes(1)
            self.limits()
        elif kind == 2:  # a memory
            self.limits()
        elif kind == 3:  # a global
            self.bytes(2)
        else:
            raise ValueError(f"an import of kind {kind}")


def imports(data):
    reader = Reader(data)
    if reader.bytes(8) != b"\0asm\1\0\0\0":
        raise ValueError("not a WebAssembly module")
    found = []
    while reader.at < len(data):
        section = reader.number()
        size = reader.number()
        end = reader.at + size
        if section == IMPORT_SECTION:
            for _ in range(reader.number()):
                found.append((reader.name(), reader.name()))
                reader.import_kind()
        reader.at = end
    return found


def is_known(module, name):
    if module == "env":
        return name.startswith("proxy_")
    return module == "wasi_snapshot_preview1" and name in WASI


def main():
    path, budget = sys.argv[1], int(sys.argv[2])
    with open(path, "rb") as file:
        data = file.read()
    print(f"{path}: {len(data):,} bytes of {budget:,}")
    found = imports(data)
    for module in sorted({module for module, _ in found}):
        names = sorted(name for of, name in found if of == module)
        print(f"  {module}: {' '.join(names)}")
    unknown = [f"{module}.{name}" for module, name in found if not is_known(module, name)]
    if unknown:
        print(f"Not every supported Envoy offers these imports: {' '.join(unknown)}")
    if len(data) > budget:
        print("The module is over its budget: find what made it grow, or raise WASM_BUDGET and say why.")
    if unknown or len(data) > budget:
        sys.exit(1)


if __name__ == "__main__":
    main()
