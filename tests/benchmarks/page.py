"""Write docs/benchmarks.md from the figures of a run: ``python -m tests.benchmarks.page [--json FILE]… [words …]``.

Without a file the benchmarks are run first, with the further words as words of pytest (``-k henon``); what they left
out is named on the page, where a benchmark counts as run if one of its cases was. A run that fails writes nothing. Only
the text between the two comments is replaced.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


def run(out, words=()):
    """Run the benchmarks, their figures going to a file; return pytest's exit code."""
    files = [str(path) for path in sorted(Path(__file__).parent.glob("test_*.py"))]  # not those of regimes/
    command = [sys.executable, "-m", "pytest", "-n", "0", *files, "--benchmark-only", "-s"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, f"--benchmark-json={out}", *words], cwd=ROOT, env=environment, check=False)
    return done.returncode


def joined(parts):
    """One run from several of one machine and commit, that were made one after the other."""
    cpus = [part["machine_info"]["cpu"] for part in parts]  # with its clock rate, which changes
    where = [(cpu.get("brand_raw"), cpu["count"]) for cpu in cpus]
    what = [(part["machine_info"]["python_version"], part["dynloop"]["versions"]) for part in parts]
    same = list(zip(where, what, strict=True))
    if any(one != same[0] for one in same) or len({part["commit_info"]["id"] for part in parts}) > 1:
        raise SystemExit("the files are of more than one machine, environment or commit; give those of one")
    about = parts[0]["dynloop"] | {"load after": parts[-1]["dynloop"]["load after"]}
    dirty = any(part["commit_info"]["dirty"] for part in parts)
    return parts[0] | {
        "commit_info": parts[0]["commit_info"] | {"dirty": dirty},
        "dynloop": about,
        "benchmarks": [one for part in parts for one in part["benchmarks"]],
    }


def known(folder):
    """Every benchmark by its file, and the first line of each file: what is written, not what was run."""
    found, ideas = {}, {}
    for path in sorted(folder.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        ideas[path.name] = ast.get_docstring(tree).partition("\n")[0]
        tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        found[path.name] = [t.name for t in tests if "benchmark" in [one.arg for one in t.args.args]]
    return found, ideas


def machine(data):
    """The lines that say where, with what, and beside which load the figures were measured."""
    cpu, python, extra = data["machine_info"]["cpu"], data["machine_info"]["python_version"], data["dynloop"]
    day, commit, cores = data["datetime"][:10], data["commit_info"], cpu["count"]
    name, memory = cpu.get("brand_raw", "CPU of unknown model"), extra["memory"] / 2**30
    packages = ", ".join(f"{package} {number}" for package, number in extra["versions"].items())
    before, after = (" ".join(f"{one:.1f}" for one in extra[f"load {when}"]) for when in ("before", "after"))
    busy = extra["load before"][0]
    shared = f"Other jobs shared the machine: about {busy:.1f} processes on {cores} cores." if busy > 0.5 else ""
    return [
        f"- Measured on {day}, commit {commit['id'][:10]}{', changed since' * bool(commit['dirty'])}.",
        f"- {name}, {cores} cores, {memory:.1f} GiB of memory.",
        f"- Python {python}, {packages}; one thread.",
        f"- Load over 1, 5 and 15 minutes: {before} before, {after} after. {shared}".rstrip(),
    ]


def row(figure):
    met = {None: "", True: "met", False: "missed"}[figure["met"]]
    value = f"{figure['value']:g} {figure['unit']}".strip()
    cells = [figure["what"], figure["beside"], value, figure["aim"], met, f"{figure['load']:.1f}"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def measured(data, folder=Path(__file__).parent):
    """The text between the comments, from the JSON of a run."""
    tests, ideas = known(folder)
    figures, ran = {}, set()
    for one in data["benchmarks"]:
        path, _, name = one["fullname"].partition("::")
        ran.add((Path(path).name, name.partition("[")[0]))
        figures.setdefault(Path(path).name, []).extend(one["extra_info"].get("figures", []))
    aims = [figure["met"] for some in figures.values() for figure in some if figure["met"] is not None]
    lines = [*machine(data), f"- {sum(aims)} of {len(aims)} aims met."]
    for file in sorted(figures):
        lines += ["", f"## {file}", "", ideas.get(file, ""), ""]
        lines += ["| what | beside | measured | aim | | load |", "|---|---|---|---|---|---|"]
        lines += [row(figure) for figure in figures[file]]
    missing = [f"- `{file}::{name}`" for file, names in tests.items() for name in names if (file, name) not in ran]
    if missing:
        lines += ["", "## Not run this time", "", *missing]
    return "\n".join(lines)


def filled(page, text):
    """A page with the text between its comments replaced."""
    found, count = re.subn(rf"({BEGIN}\n).*?({END})", lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"docs/benchmarks.md has {count} places for figures; it needs {BEGIN} … {END} once")
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    said = "what `pytest --benchmark-json` wrote; nothing is run. Several: a run in parts"
    parser.add_argument("--json", type=Path, action="append", help=said)
    options, words = parser.parse_known_args(argv)
    if options.json and words:
        parser.error(f"--json runs nothing: leave out {' '.join(words)}")
    with tempfile.TemporaryDirectory() as folder:
        paths = options.json or [Path(folder) / "run.json"]
        if not options.json and (code := run(paths[0], words)) != 0:
            print(f"the benchmarks failed (exit code {code}); docs/benchmarks.md is as it was", file=sys.stderr)
            return code
        data = joined([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), measured(data)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
