"""theory/*.md: every statement has a whole note, and whatever a note names exists."""

import html
import importlib
import inspect
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import dynloop as dl

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "theory").glob("*.md"))
NOTES = [page for page in PAGES if re.match(r"T\d\d-", page.name)]
PROOFS = (ROOT / "theory" / "dichotomy.v").read_text(encoding="utf-8")
PARTS = [
    "Statement",
    "Hypotheses",
    "Proof",
    "What it does not say",
    "When a hypothesis is dropped",
    "Computed by",
    "Checked by",
]

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
every_note = pytest.mark.parametrize("page", NOTES, ids=lambda page: page.stem)


def text(page):
    return page.read_text(encoding="utf-8")


def parts(page):
    """The parts of a note by their heading, in order."""
    pieces = re.split(r"^## (.*)$", text(page), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def resolve(name):
    """The object of a dotted name, imported as far as it is a module."""
    words = name.split(".")
    for cut in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:cut]))
        except ModuleNotFoundError:
            continue
        for word in words[cut:]:
            found = getattr(found, word)
        return found
    raise AssertionError(name)


def claims():
    """The rows of empirical.md: a claim, and the words that no statement may hold."""
    rows = re.findall(r"^\| (?!claim)(.+?) \|.*\| (.+?) \|$", text(ROOT / "theory" / "empirical.md"), re.MULTILINE)
    return [(claim, words.split("; ")) for claim, words in rows]


def test_there_is_one_note_a_statement():
    assert [page.name[:3] for page in NOTES] == [f"T{i:02}" for i in range(13)]
    for i, page in enumerate(NOTES):
        assert text(page).startswith(f"# T{i}. ")


@every_note
def test_a_note_has_every_part_in_order(page):
    assert list(parts(page)) == PARTS
    assert all(len(body.split()) >= 10 for heading, body in parts(page).items() if heading != "Checked by")


@every_note
def test_a_proof_is_whole(page):
    assert "∎" in parts(page)["Proof"]


@every_note
def test_a_note_names_a_function_a_test_and_a_dropped_hypothesis(page):
    note = parts(page)
    assert re.search(r"`dynloop\.", note["Computed by"])
    assert re.search(r"`tests/theory/test_\w+\.py`", note["Checked by"])
    assert re.search(r"^(- )?\*\*", note["When a hypothesis is dropped"], re.MULTILINE)


@every_page
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+)\)", text(page)):
        assert (page.parent / target).exists(), target


@every_page
def test_every_name_of_dynloop_resolves(page):
    for name, _, fields, option in re.findall(
        r"`(dynloop(?:\.\w+)+)`(\s*\(((?:`\w+`(?:,\s+)?)+)\)|\s+with\s+`(\w+)(?:=[^`]*)?`)?", text(page)
    ):
        found = resolve(name)
        for field in re.findall(r"`(\w+)`", fields):
            assert hasattr(found, field) or field in getattr(found, "__dataclass_fields__", {}), f"{name}.{field}"
        if option:
            assert option in inspect.signature(found).parameters, f"{name}(…, {option}=…)"


@every_page
def test_every_source_is_where_the_name_is(page):
    """A link to a source beside names of dynloop leads to the file that defines the last of them."""
    for bullet in re.split(r"^(?:- |\n)", text(page), flags=re.MULTILINE):
        names = re.findall(r"`(dynloop(?:\.\w+)+)`", bullet)
        sources = re.findall(r"\[source\]\(([^)]+)\)", bullet)
        if sources:
            assert {Path(inspect.getsourcefile(resolve(name))).resolve() for name in names} & {
                (page.parent / source).resolve() for source in sources
            }, bullet


@every_page
def test_every_counter_example_exists(page):
    for key in re.findall(r"\"(C\d+\w?)\"", text(page)):
        assert dl.zoo.counter_example(key).key == key
    for call in re.findall(r"`dl\.(zoo\.\w+\([\d.]*\))`", text(page)):
        name, argument = re.fullmatch(r"zoo\.(\w+)\((.*)\)", call).groups()
        getattr(dl.zoo, name)(float(argument))


def test_every_counter_example_has_its_row():
    rows = re.findall(r"^\| (C\d+) \|", text(ROOT / "theory" / "outside.md"), re.MULTILINE)
    assert rows == [f"C{i}" for i in range(1, 21)]


@every_page
def test_every_test_exists(page):
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text(page)):
        assert (ROOT / path).exists(), path
        assert not name or re.search(rf"^def {name}\(", text(ROOT / path), re.MULTILINE), f"{path}::{name}"


@every_page
def test_every_theorem_of_the_coq_file_exists(page):
    checked = re.findall(r"^- Coq: (.*?)(?=^- |\Z)", text(page), re.MULTILINE | re.DOTALL)
    named = re.findall(r"`(\w+)` in the Coq file", text(page)) + re.findall(r"`(\w+)`", " ".join(checked))
    for name in named:
        assert re.search(rf"^(Theorem|Example) {name}\b", PROOFS, re.MULTILINE), name


@every_note
def test_nothing_empirical_is_stated(page):
    statement = parts(page)["Statement"].lower()
    assert len(claims()) >= 5
    for claim, words in claims():
        for word in words:
            assert word.lower() not in statement, claim


@every_page
def test_formulas_are_read_by_github_and_by_myst(page):
    """What Markdown would eat inside a formula is not used, and every formula is closed."""
    for formula in (r"\\,", r"\\;", r"\\\\", r"\\[{}|]", r"\^\*"):
        assert not re.search(formula, text(page)), formula
    as_text = html.unescape(MarkdownIt("commonmark").enable("table").render(text(page)))
    for formula in re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text(page), re.DOTALL):
        assert re.sub(r"\n\s*", "\n", formula) in as_text, formula  # where the renderer does not know formulas
    assert text(page).count("$$") % 2 == 0
    for line in text(page).replace("$$", "").splitlines():
        assert line.count("$") % 2 == 0, line


def test_the_reading_path_leads_to_every_page():
    linked = set(re.findall(r"\]\((\S+\.md)\)", text(ROOT / "theory" / "README.md")))
    assert linked == {page.name for page in PAGES} - {"README.md"}
