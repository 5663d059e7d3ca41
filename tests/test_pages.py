"""What pages quote and no test runs: commands that the command line takes, names that are there."""

import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer

import dynloop as dl
from dynloop.cli import UsageError, app

ROOT = Path(__file__).parent.parent
OURS = [page for page in ROOT.glob("docs/**/*.md") if not {"_build", "generated", "gallery"} & set(page.parts)]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("theory/*.md"), *OURS])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAM = typer.main.get_command(app)


def commands(text):
    """Return the ``dynloop …`` lines of a page: those of its blocks, and those in its sentences and tables."""
    blocks = [block for kind, block in FENCE.findall(text) if kind != "python"]
    lines = [line.removeprefix("$ ") for block in blocks for line in block.replace("\n   ", " ").splitlines()]
    inline = re.findall(r"`(dynloop [^`\n]+)`", FENCE.sub("", text))
    return [re.sub(r" +", " ", line).strip() for line in [*lines, *inline] if re.match(r"dynloop ", line)]


def command_of(words):
    """Return the command that the first words name, and the words behind it."""
    command = PROGRAM
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options_of(command):
    return {name for one in command.params for name in [*one.opts, *one.secondary_opts] if name.startswith("-")}


def leaves(command=PROGRAM, name=""):
    """Return every command that is not a group, by what is typed for it."""
    if not hasattr(command, "commands"):
        return {name: command}
    return {path: one for word, sub in command.commands.items() for path, one in leaves(sub, f"{name} {word}").items()}


def refused(line):
    """Return why the command line would not take a quoted line, or None. Nothing is run, no file is read."""
    line = re.sub(r" (# |> \S+).*", "", line)
    synopsis = re.search(r"\[|…|\|", line)
    words = re.findall(r"[^\s\[\]|]+", line) if synopsis else shlex.split(line)
    if words[1:] == ["--version"]:
        return None
    command, rest = command_of(words[1:])
    if rest and hasattr(command, "commands"):
        return f"there is no command {rest[0]}"
    if synopsis or not rest:  # a synopsis, or the name of a command in a sentence
        named = {word for word in rest if re.match(r"--?[a-z]", word)}
        return ", ".join(sorted(named - options_of(command))) or None
    try:
        command.make_context(command.name, rest)
    except UsageError as error:
        return error.format_message()
    return None


# docs/wrong_uses.md is left out: tests/test_wrong_uses.py runs what it quotes
@pytest.mark.parametrize("page", [name for name in TEXTS if commands(TEXTS[name]) and name != "docs/wrong_uses.md"])
def test_every_command_that_a_page_quotes_is_one(page):
    assert {line: why for line in commands(TEXTS[page]) if (why := refused(line)) is not None} == {}


@pytest.mark.parametrize("name", leaves())
def test_the_page_on_the_command_line_has_every_command_with_every_option(name):
    page, command = TEXTS["docs/cli.md"], leaves()[name]
    synopsis = FENCE.search(page)[2].replace("\n   ", " ")
    lines = [line for line in synopsis.splitlines() if line.startswith(f"dynloop{name}")]
    assert lines
    section = re.search(rf"^## dynloop{name.partition(' study')[1] or name}\n(.*?)(?=^## )", page, re.M | re.S)[1]
    shared = re.search(r"^## Options that the analyses share\n(.*?)(?=^## )", page, re.M | re.S)[1]
    analysis = "--prompt" in options_of(command)
    for option in options_of(command) - {"--verify", "--help", "-h"}:
        written = re.compile(rf"(?<![\w-]){option}(?![\w-])")
        assert any(written.search(line) for line in lines), f"{option} is not in the synopsis"
        assert written.search(section + (shared if analysis else "")) or option == "--json", (
            f"{option} is not explained"
        )


def test_a_wrong_command_would_be_noticed():
    assert refused("dynloop ablate --norm pre ouro") is not None
    assert refused("dynloop clasify demo") is not None
    assert refused("dynloop study shew runs") is not None
    assert refused("dynloop classify [--nonsense N]") == "--nonsense"
    assert refused("dynloop study run plan.toml") is not None  # --out is missing
    assert refused("dynloop classify 'zoo:henon?a=1.2' --json > x.json  # words") is None
    assert "dynloop ls" in commands("```sh\n$ dynloop ls\n```")
    assert commands("```\ndynloop basins X [-n N]\n               [--seed N]\n```") == [
        "dynloop basins X [-n N] [--seed N]"
    ]
    assert len(commands(TEXTS["README.md"])) > 12


def resolved(path):
    """Return what ``dynloop`` calls by a dotted path; raise AttributeError where there is nothing."""
    found = dl
    for number, name in enumerate(path, 1):
        try:
            found = getattr(found, name)
        except AttributeError:
            if not inspect.ismodule(found):
                raise
            found = importlib.import_module(".".join(["dynloop", *path[:number]]))
    return found


def unresolved(text):
    """Return the names of the library that a page writes and that are not there."""
    wrong = []
    for name in sorted(set(re.findall(r"(?<![\w./-])(?:dl|dynloop)(?:\.[A-Za-z]\w*)+", text))):
        try:
            resolved(name.split(".")[1:])
        except (AttributeError, ImportError):
            wrong.append(name)
    for made, member in re.findall(r"(?<![\w./-])dl\.([A-Z]\w*)\([^()]*\)\.(\w+)", text):
        if not hasattr(getattr(dl, made, None), member):
            wrong.append(f"dl.{made}().{member}")
    return wrong


NAMING = [name for name, text in TEXTS.items() if re.search(r"\b(dl|dynloop)\.\w", text)]


@pytest.mark.parametrize("page", [name for name in NAMING if name != "docs/wrong_uses.md"])
def test_every_name_that_a_page_writes_is_there(page):
    assert unresolved(TEXTS[page]) == []


def test_a_wrong_name_would_be_noticed():
    assert unresolved("dl.cells(folder), dl.zoo.hennon(), `dynloop.testing.nobody`, dl.Study(folder).to_nothing()") == [
        "dl.cells",
        "dl.zoo.hennon",
        "dynloop.testing.nobody",
        "dl.Study().to_nothing",
    ]
    assert unresolved("dl.zoo.henon(a=1).facts, dl.Study(folder).table(), `dynloop.views.palette.LOOKS`") == []


def test_the_page_on_style_names_the_files_that_are_too_long():
    named = set(re.findall(r"`([\w/]+\.py)`", TEXTS["docs/style.md"]))
    lines = {
        path.relative_to(ROOT / "dynloop").as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "dynloop").rglob("*.py")
    }
    assert {name for name, count in lines.items() if count > 320} <= named
    assert all(lines[name] > 280 for name in named)


def test_the_commands_of_dask_are_ones():
    main = pytest.importorskip("distributed.cli.dask_worker").main
    [line] = re.findall(r"dask worker (.*?) *(?: #.*)?$", TEXTS["docs/scaling.md"], re.MULTILINE)
    assert main.make_context("worker", line.split()).params["nthreads"] == 1


def test_every_target_of_make_that_a_page_names_is_one():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name, text in TEXTS.items():
        named = re.findall(r"`(?:PYTHON=\S+ |WORKERS=\S+ )?make ([a-z-]+)", text) + re.findall(
            r"^make ([a-z-]+)", text, re.MULTILINE
        )
        assert set(named) <= targets, name
    named = re.findall(r"^make ([a-z-]+)", TEXTS["CONTRIBUTING.md"], re.MULTILINE)
    assert set(named) == targets - {"help", "clean"}
    assert "`make clean`" in TEXTS["CONTRIBUTING.md"]
