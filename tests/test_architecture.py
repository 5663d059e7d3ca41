"""The house stands as it is drawn: floors, lazy imports, public names that resolve, no rooms without an idea."""

import ast
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import dynloop as dl

ROOT = Path(dl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# top down; modules on one floor do not import each other
FLOORS = [
    ("cli", "__main__"),
    ("testing", "views"),
    ("analyses", "diagrams", "basins", "inference"),
    ("orbits",),
    ("calculus", "adapters", "studies"),
    ("maps",),
    ("result", "nn"),
    ("arguments",),
    ("errors", "atomic", "spelling"),
]
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
MATHEMATICS = {
    "analyses", "arguments", "atomic", "basins", "calculus", "diagrams", "errors", "inference", "maps", "nn", "orbits",
    "result", "spelling", "studies",
}  # fmt: skip
MODELS_AND_PICTURES = {"transformers", "tokenizers", "matplotlib", "plotly", "typer", "rich"}


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Names of the modules a file imports, those for type checkers alone left out."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    quiet = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            quiet |= {id(child) for child in ast.walk(node)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in quiet:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def run(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    room = room_of(path)
    if room == "__init__":
        return
    assert room in FLOOR, f"{room} has no floor; draw it in the design first"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "dynloop" or len(parts) == 1:
            assert not (room in MATHEMATICS and parts[0] in MODELS_AND_PICTURES), f"{path} imports {name}"
            continue
        if parts[1] not in FLOOR or parts[1] == room:
            continue
        below = FLOOR[parts[1]] > FLOOR[room] or {room, parts[1]} == {"cli", "__main__"}
        assert below, f"{path} imports {name}, which is not below it"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_says_its_idea_first(path):
    assert path.stem not in {"utils", "helpers", "misc", "common"}
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf8")))
    assert text, f"{path} has no docstring"
    assert text.splitlines()[0].endswith((".", "?")), f"the first line of {path} is no sentence"
    assert "TODO" not in path.read_text(encoding="utf8")


def suppressions(path):
    """Lines of a file on which a comment silences ruff or mypy."""
    with path.open("rb") as file:
        comments = [one for one in tokenize.tokenize(file.readline) if one.type == tokenize.COMMENT]
    return [one.string for one in comments if re.match(r"# (noqa|type: ignore)", one.string)]


def test_every_suppression_says_why_on_its_line():
    folders = [ROOT, *(ROOT.parent / name for name in ("tests", "examples"))]
    files = [path for folder in folders if folder.exists() for path in sorted(folder.rglob("*.py"))]
    reasoned = re.compile(r"# (noqa: [A-Z\d, ]+ - |type: ignore\[[a-z, -]+\] # )\w")
    assert [(path.name, one) for path in files for one in suppressions(path) if not reasoned.match(one)] == []


def test_every_public_name_resolves_and_is_listed():
    for name in dl.__all__:
        assert getattr(dl, name) is not None
    assert set(dl.__all__) <= set(dir(dl))
    assert len(set(dl.__all__)) == len(dl.__all__)
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        _ = dl.nothing


def test_import_dynloop_imports_next_to_nothing():
    heavy = ["torch", "numba", "scipy", "numpy", "transformers", "matplotlib"]
    done = run("-c", f"import sys, dynloop; print([name for name in {heavy!r} if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr


def test_help_does_not_import_torch():
    program = """
import sys
from dynloop.cli import main
sys.argv = ["dynloop", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
assert "torch" not in sys.modules and "numba" not in sys.modules, "heavy imports"
"""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr
    assert "classify" in done.stdout


def test_toy_maps_do_not_import_torch():
    program = "import sys, dynloop as dl; dl.zoo.henon()([[0.1, 0.1]]); print('torch' in sys.modules)"
    assert run("-c", program).stdout == "False\n"


def test_the_import_contract_of_pyproject_holds():
    linter = pytest.importorskip("importlinter.cli")
    settings = ROOT.parent / "pyproject.toml"
    if not settings.exists():
        pytest.skip("dynloop is installed without its pyproject.toml")
    assert linter.lint_imports(config_filename=str(settings), no_cache=True) == 0
