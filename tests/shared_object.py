"""Checks a native module: that every Envoy it is meant for, on every system it is meant for, can load it.

The loader refuses a whole shared object for one symbol that is younger than the system's C library, or that nobody has; Envoy
refuses it for one hook that is missing.

Usage: shared_object.py [--glibc 2.31] MODULE…
"""

import argparse
import struct
import sys

# What a C library of any age has. `libgcc_s` is not in small images.
LIBRARIES = ("libc.so.", "libdl.so.", "libm.so.", "libpthread.so.", "librt.so.", "ld-linux")
CALLBACK = "envoy_dynamic_module_callback_"
HOOK = "envoy_dynamic_module_on_"
# Each of them is loaded by its name in Envoy.
HOOKS = {
    HOOK + name
    for name in (
        "program_init",
        "http_filter_config_new",
        "http_filter_config_destroy",
        "http_filter_per_route_config_new",
        "http_filter_per_route_config_destroy",
        "http_filter_new",
        "http_filter_request_headers",
        "http_filter_request_body",
        "http_filter_request_trailers",
        "http_filter_response_headers",
        "http_filter_response_body",
        "http_filter_response_trailers",
        "http_filter_stream_complete",
        "http_filter_destroy",
        "http_filter_http_callout_done",
        "http_filter_scheduled",
        "http_filter_config_scheduled",
        "http_filter_config_http_callout_done",
    )
}

DYNAMIC, DYNAMIC_SYMBOLS, NEEDED_VERSIONS, SYMBOL_VERSIONS = 6, 11, 0x6FFFFFFE, 0x6FFFFFFF
NEEDED, WEAK = 1, 2


class Module:
    """The 64-bit little-endian ELF format, as far as what a module needs and offers."""

    def __init__(self, data):
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian shared object")
        self.data = data
        start, size, count = struct.unpack_from("<Q", data, 40) + struct.unpack_from("<HH", data, 58)
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + number * size) for number in range(count)]
        self.sections = sections
        self.libraries = [name for tag, name in self.dynamic() if tag == NEEDED]
        self.versions = sorted(set(self.needed_versions()))
        self.unversioned, self.offered = self.symbols()

    def section(self, kind):
        """Its bytes and the names that it refers to; a stripped module has the same sections."""
        for section in self.sections:
            if section[1] == kind:
                strings = self.sections[section[6]]
                return section[4], section[5], strings[4]
        raise ValueError(f"no section of type {kind:#x}")

    def text(self, at):
        return self.data[at : self.data.index(b"\0", at)].decode()

    def dynamic(self):
        start, size, strings = self.section(DYNAMIC)
        for at in range(start, start + size, 16):
            tag, value = struct.unpack_from("<qQ", self.data, at)
            if tag == 0:
                return
            yield tag, self.text(strings + value) if tag == NEEDED else value

    def needed_versions(self):
        """`GLIBC_2.17` and the like."""
        at, _, strings = self.section(NEEDED_VERSIONS)
        while True:
            _, count, _, first, following = struct.unpack_from("<HHIII", self.data, at)
            entry = at + first
            for _ in range(count):
                _, _, _, name, later = struct.unpack_from("<IHHII", self.data, entry)
                yield self.text(strings + name)
                entry += later
            if following == 0:
                return
            at += following

    def symbols(self):
        """What is needed of whoever has it, and what is offered."""
        start, size, strings = self.section(DYNAMIC_SYMBOLS)
        versions, _, _ = self.section(SYMBOL_VERSIONS)
        unversioned, offered = set(), set()
        for symbol in range(1, size // 24):
            name, info, _, section, _, _ = struct.unpack_from("<IBBHQQ", self.data, start + 24 * symbol)
            (version,) = struct.unpack_from("<H", self.data, versions + 2 * symbol)
            if section != 0:
                offered.add(self.text(strings + name))
            elif info >> 4 != WEAK and version <= 1:
                unversioned.add(self.text(strings + name))
        return unversioned, offered


def number(version):
    return tuple(int(part) for part in version.split("."))


def wrong(module, glibc):
    """What keeps it from being loaded."""
    needed = [version.removeprefix("GLIBC_") for version in module.versions if version.startswith("GLIBC_")]
    newest = max(needed, key=number)
    if glibc and number(newest) > number(glibc):
        yield f"it needs the symbols of glibc {newest}, and is meant for {glibc}"
    for version in module.versions:
        if not version.startswith("GLIBC_"):
            yield f"it needs symbols of {version}"
    for library in module.libraries:
        if not library.startswith(LIBRARIES):
            yield f"it needs {library}"
    for name in sorted(HOOKS - module.offered):
        yield f"it lacks the hook {name}"
    for name in sorted(module.offered):
        if not name.startswith(HOOK):
            yield f"it offers {name}, which may take the place of another's"
    for name in sorted(module.unversioned):
        if not name.startswith(CALLBACK):
            yield f"it needs {name}, which is not Envoy's"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--glibc")
    parser.add_argument("modules", nargs="+")
    options = parser.parse_args()
    found = False
    for path in options.modules:
        with open(path, "rb") as file:
            module = Module(file.read())
        needed = [version.removeprefix("GLIBC_") for version in module.versions if version.startswith("GLIBC_")]
        print(f"{path}: {len(module.data):,} bytes, needs glibc {max(needed, key=number)} and {' '.join(module.libraries)}")
        for what in wrong(module, options.glibc):
            found = True
            print(f"  {what}")
    if found:
        sys.exit(1)


if __name__ == "__main__":
    main()
