"""Run the property suite against every mutant: ``python -m tests.mutants.run [--write] [names …]``.

A mutant is killed if a test fails (pytest's exit code 1; a suite that does not even load proves nothing). The file of
tests that the mutant is aimed at is tried first, the whole suite only if it survives. Before that the library as it is
must pass the same suite. Exit code 1 if a mutant lives.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.named import MUTANTS

ROOT = Path(__file__).parent.parent.parent
TABLE = ROOT / "docs" / "mutants.md"
SHARE = "0.1"  # of the drawn cases of `make test`: enough, and quick
HEAD = """# Mutants

`make mutants` breaks the library in the ways below, one at a time, and runs the property suite (`tests/theory/`) on
each with a tenth of the cases that `make test` draws. A test must fail each time; the last column names the first that
did. The command writes this page.

| mutant | what is wrong | killed by |
|---|---|---|
"""


def suite():
    """The files of the property suite, by their idea: those that draw cases."""
    found = {}
    for path in sorted((ROOT / "tests" / "theory").glob("test_*.py")):
        if "@cases(" in path.read_text(encoding="utf-8"):
            found[path.stem.removeprefix("test_")] = str(path.relative_to(ROOT))
    return found


def run(files, mutant=""):
    """Run pytest in a process of its own; return its exit code and the first test that failed."""
    environment = {k: v for k, v in os.environ.items() if k != "DYNLOOP_MUTANT"} | {"DYNLOOP_PROPERTIES": SHARE}
    if mutant:
        environment["DYNLOOP_MUTANT"] = mutant
    words = ["-m", "pytest", "-n", "0", "-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-m", "not slow", *files]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    failed = re.search(r"^FAILED tests/theory/(\S+)", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1):
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
    return done.returncode, failed[1] if failed else ""


def killer(name):
    """The first test that fails on a mutant; '' if it lives."""
    files = suite()
    aimed = files[MUTANTS[name].aim]
    for some in ([aimed], [f for f in files.values() if f != aimed]):
        code, failed = run(some, name)
        if code == 1 and failed:
            return failed
        if code != 0:
            return ""
    return ""


def page(killed):
    """The page of docs for all mutants and the tests that killed them."""
    rows = [f"| `{name}` | {MUTANTS[name].what} | `{test}` |" for name, test in killed.items()]
    return HEAD + "\n".join(rows) + "\n"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to run; all if none is named")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.relative_to(ROOT)}")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mutants-only", action="store_true", help="skip the run on the library as it is")
    options = parser.parse_args(argv)
    unknown = set(options.names) - set(MUTANTS)
    if unknown or (options.write and options.names):
        parser.error(f"no mutant {sorted(unknown)}" if unknown else "--write writes the whole table: name no mutants")
    begun = time.monotonic()
    if not options.mutants_only:
        code, failed = run(list(suite().values()))
        if code != 0:
            print(f"the library as it is fails its own suite: {failed or code}", file=sys.stderr)
            return 2
        print(f"the library as it is passes ({time.monotonic() - begun:.0f} s)", flush=True)
    names = options.names or list(MUTANTS)
    killed = {}
    with ThreadPoolExecutor(options.workers) as pool:
        for name, test in zip(names, pool.map(killer, names), strict=True):
            killed[name] = test
            print(f"{name:30} {MUTANTS[name].what:58} {test or 'LIVES'}", flush=True)
    alive = [name for name, test in killed.items() if not test]
    print(f"{len(killed) - len(alive)} of {len(killed)} mutants killed ({time.monotonic() - begun:.0f} s)")
    if options.write and not alive:
        TABLE.write_text(page(killed), encoding="utf-8")
    return int(bool(alive))


if __name__ == "__main__":
    sys.exit(main())
