"""Counts what exchanges run and touch natively, by a trace of valgrind's: instructions, and 64-byte lines of code and of data.

It runs benches/exchange.rs, which tells on its standard output where in its code counting begins and ends, and then the name of
each exchange just before it does.

Usage: native.py PROGRAM [ARGUMENT ...]
"""

import shutil
import subprocess
import sys
import tempfile

LINE = 64
# The first lines are long before anything is counted: the program tells its marks before it loads a policy.
LOOK_EVERY = 1_000


def marks(told):
    """What an instruction at either mark looks like in the trace, once the program has told."""
    told.seek(0)
    first = told.readline()
    if not first.endswith(b"\n"):
        return None
    return tuple(b"I  %08x," % int(address, 16) for address in first.split())


def lines(accesses):
    """The lines that "1ffefff8,8" and others touch."""
    touched = set()
    for access in accesses:
        address, size = access.split(b",")
        first = int(address, 16)
        touched.update(range(first // LINE, (first + int(size) - 1) // LINE + 1))
    return len(touched)


def sections(trace, told):
    """Instructions, lines of code and lines of data for each time that the program counted."""
    places = None
    for number, line in enumerate(trace):
        if places is None and number % LOOK_EVERY == 0:
            places = marks(told)
        if places is None or not line.startswith(places[0]):
            continue
        instructions, code, data = 0, set(), set()
        for line in trace:
            if line.startswith(places[1]):
                break
            if line.startswith(b"I"):
                instructions += 1
                code.add(line[3:-1])
            else:
                data.add(line[3:-1])
        yield instructions, lines(code), lines(data)


def main():
    if shutil.which("valgrind") is None:
        print("Natively nothing is counted: valgrind is not installed.")
        return
    valgrind = ["valgrind", "--quiet", "--tool=lackey", "--trace-mem=yes"]
    with tempfile.TemporaryFile() as told:
        program = subprocess.Popen([*valgrind, *sys.argv[1:]], stdout=told, stderr=subprocess.PIPE)
        counted = list(sections(iter(program.stderr), told))
        if program.wait() != 0:
            sys.exit(f"{sys.argv[1]} failed under valgrind")
        told.seek(0)
        names = told.read().decode().splitlines()[1:]
    if len(names) != len(counted):
        sys.exit(f"{len(names)} exchanges were announced, {len(counted)} seen")
    print(f"{'':24}{'instructions':>13}{'code lines':>12}{'data lines':>12}")
    for name in dict.fromkeys(names):
        same = [figures for other, figures in zip(names, counted) if other == name]
        averages = (round(sum(column) / len(same)) for column in zip(*same))
        print(f"{name:24}" + "".join(f"{figure:>{width},}" for figure, width in zip(averages, (13, 12, 12))))


if __name__ == "__main__":
    main()
