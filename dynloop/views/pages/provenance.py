"""Where the numbers of a report are from: versions, settings, hashes of files and prompts, commands to repeat them."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from dynloop.basins.grid import Basins
from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.orbits.records.verdict import RecordedClassification
from dynloop.orbits.solved import FixedPoints
from dynloop.orbits.verdict import Classification
from dynloop.result import Result
from dynloop.views.document import dumps
from dynloop.views.pages.subjects import Entry, settings_of

__all__ = ["commands", "files", "own_version", "prompts", "settings", "versions", "weights"]

_PACKAGES = ("numpy", "scipy", "torch", "numba", "transformers", "plotly")
_COMMANDS: tuple[tuple[type[Result], str], ...] = (
    (Classification, "classify"), (LyapunovSpectrum, "lyapunov"), (FixedPoints, "fixed-points"),
    (RecordedClassification, "classify"), (Basins, "basins"),
)  # fmt: skip
_OPTIONS = {
    "loops": "--loops", "starts": "--starts", "period": "--period", "tol": "--tol", "k": "-k", "method": "--method",
    "transient": "--transient", "qr_every": "--qr-every", "dtype": "--dtype", "seed": "--seed", "polish": "--polish",
    "box": "--box", "plane": "--plane", "extent": "--extent", "n": "-n",
}  # fmt: skip
_FLAGS = {"per_layer": "--per-layer", "per_token": "--per-token"}
_LONGEST = 40_000  # characters of prompts that a command repeats


def own_version() -> str:
    """Return the version of dynloop; looked up by name, since the package lists every floor and this is one of them."""
    return str(importlib.import_module("dynloop").__version__)


def versions(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return the versions that made the page, and those that made its results where they said so."""
    found = [("dynloop, of this page", own_version())]
    made = dict.fromkeys(str(entry.run["dynloop"]) for entry in entries if entry.run.get("dynloop"))
    if made:
        found.append(("dynloop, of the results", ", ".join(made)))
    found.append(("Python", platform.python_version()))
    for name in _PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [*found, ("page made", now)]


def files(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return every file that was read, with its SHA-256."""
    return list(dict.fromkeys((entry.file, entry.digest) for entry in entries if entry.file))


def weights(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return every checkpoint with the fingerprint of its files that the run took, where it says one."""
    found = [(str(entry.about.get("checkpoint")), entry.about.get("weights")) for entry in entries]
    return list(dict.fromkeys((address, digest) for address, digest in found if isinstance(digest, str)))


def prompts(read: Sequence[Any]) -> list[tuple[str, str]]:
    """Return every prompt, shortened, with the SHA-256 of its JSON."""
    found = []
    for prompt in dict.fromkeys(dumps(one) for one in read if one is not None):
        brief = prompt if len(prompt) <= 80 else f"{prompt[:79]}…"
        found.append((brief, hashlib.sha256(prompt.encode()).hexdigest()))
    return found


def settings(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return the settings of every result that has some, each set once."""
    found: dict[str, str] = {}
    for entry in entries:
        own = {key: value for key, value in settings_of(entry.result).items() if key != "tokens"}
        own = {key: value for key, value in own.items() if value is not None}
        run = entry.run.get("settings")
        seed = {"seed": run["seed"]} if isinstance(run, Mapping) and "seed" in run else {}
        if own or seed:
            said = "; ".join(f"{key} {_said(value)}" for key, value in {**own, **seed}.items())
            found.setdefault(said, type(entry.result).__name__)
    return [(name, text) for text, name in found.items()]


def _said(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(_said, value))
    return value if isinstance(value, str) else dumps(value)


def commands(entries: Sequence[Entry]) -> list[str]:
    """Return the shell commands that repeat the runs which saved the results, prompts included.

    A run says its checkpoint, settings and prompts in its summary; of results made in Python nothing is known. Where no
    command makes a result, a comment says so.
    """
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        if isinstance(entry.run.get("settings"), Mapping):
            found.setdefault(id(entry.run), []).append(entry)
    runs = [own for own in found.values() if _name(own[0].result)]
    folders = ["results"] if len(runs) == 1 else [f"results-{i}" for i in range(1, len(runs) + 1)]
    said = [_command(own, folder) for own, folder in zip(runs, folders, strict=True)]
    said += [shlex.join(["dynloop", "report", *folders, "--out", "report.html"])] if said else []
    strange = dict.fromkeys(type(own[0].result).__name__ for own in found.values() if _name(own[0].result) is None)
    return [*said, *(f"# no command of dynloop makes a {kind}" for kind in strange)]


def _command(entries: Sequence[Entry], folder: str) -> str:
    chosen: Mapping[str, Any] = entries[0].run["settings"]
    words = ["dynloop", str(_name(entries[0].result))]
    before = ""
    if isinstance(entries[0].result, RecordedClassification):
        words += ["--recorded", str(chosen.get("recorded", ""))]
        words += ["--dtype", str(chosen["dtype"])] if chosen.get("dtype") else []
        return shlex.join([*words, "--out", folder])
    words.append(str(chosen.get("checkpoint", "")))
    first = entries[0].about.get("checkpoint")  # every checkpoint of a run reads the same prompts
    read = [dumps(entry.about.get("prompt")) for entry in entries if entry.about.get("checkpoint") == first]
    if len(read) == 1 and isinstance(json.loads(read[0]), str):
        words.append(f"--prompt={json.loads(read[0])}")
    elif set(read) != {"null"}:
        words += ["--prompts", "prompts.jsonl"]
        before = _prompts_file(read)
    for name, option in _OPTIONS.items():
        if chosen.get(name) is not None:
            value = str(chosen[name])
            words += [f"{option}={value}"] if value.startswith("-") else [option, value]
    words += [option for name, option in _FLAGS.items() if chosen.get(name)]
    words += ["--granularity", "sublayer"] if chosen.get("granularity") == "sublayer" else []
    return before + shlex.join([*words, "--out", folder])


def _name(found: Result) -> str | None:
    """Return the command that makes a result, if there is one."""
    for kind, name in _COMMANDS:
        if isinstance(found, kind):
            return name
    return "theorems" if hasattr(found, "reports") else None


def _prompts_file(read: Sequence[str]) -> str:
    """Return the lines that write the file of prompts: JSON begins with no letter, so that no line ends it early."""
    lines = [json.dumps({"prompt": json.loads(one)}) for one in read if one != "null"]
    if sum(map(len, lines)) > _LONGEST:
        return "# prompts.jsonl: the prompts in summary.json of the results, one a line\n"
    return "\n".join(["cat > prompts.jsonl <<'PROMPTS'", *lines, "PROMPTS"]) + "\n"
