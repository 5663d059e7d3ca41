"""What the README and the pages of docs promise: the quoted output of commands, and the first lines of Python.

The output is compared in structure, not in its last digits, which differ between machines. To quote it again, put what
``dynloop classify demo`` prints between the two comments.
"""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dynloop as dl
from dynloop.adapters import registry
from dynloop.adapters.registry import families
from dynloop.cli import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
REGIMES = "VANISHING|CYCLIC|PERIODIC|QUASIPERIODIC|CHAOTIC|RAY|DRIFT|DIVERGENT|UNDECIDED"


def quoted() -> str:
    [block] = re.findall(r"<!-- demo output -->\s*```\n(.*?)```\s*<!-- end of demo output -->", README, re.DOTALL)
    return block


def plain_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR", "DYNLOOP_DEBUG")}


def verdicts(output: str) -> list[str]:
    """The rows of every table in order: regime with its period, and share."""
    return re.findall(rf"^  ((?:{REGIMES})(?:\(\d+\))? +[\d.]+ %)", output, re.MULTILINE)


def layout(output: str) -> list[str]:
    """Titles and column heads, in order."""
    return [" ".join(line.split()) for line in output.splitlines() if re.match(r"demo:| +regime ", line)]


def test_the_demo_output_is_what_the_command_prints():
    done = subprocess.run(
        [sys.executable, "-m", "dynloop", "classify", "demo"],
        capture_output=True, text=True, encoding="utf-8", check=False, env=plain_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert verdicts(done.stdout) == verdicts(quoted())
    assert layout(done.stdout) == layout(quoted())
    assert verdicts(quoted()), "the README quotes no verdict"


def test_the_quoted_exponents_are_what_the_command_prints():
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    [(command, block)] = re.findall(r"```\n\$ dynloop (lyapunov .*?)\n(.*?)```", page, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-m", "dynloop", *command.split()],
        capture_output=True, text=True, encoding="utf-8", check=False, env=plain_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert without_digits(done.stdout) == without_digits(block)
    assert numbers(done.stdout) == pytest.approx(numbers(block), abs=1e-3)
    for found, said in zip(errors_of_exponents(done.stdout), errors_of_exponents(block), strict=True):
        assert said / 5 < found < said * 5
    assert len(errors_of_exponents(block)) == 2


def test_the_quoted_basins_are_what_the_command_prints():
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    [(command, block)] = re.findall(r"```\n\$ dynloop (basins .*?)\n(.*?)```", page, re.DOTALL)
    done = CliRunner().invoke(app, command.split(), env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert without_digits(done.stdout) == without_digits(block)
    assert numbers(done.stdout) == pytest.approx(numbers(block), abs=0.15)  # 1 of 1600 starts is 0.06 %


def numbers(text: str) -> list[float]:
    """Every number of a text in order."""
    return [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", text)]


def errors_of_exponents(text: str) -> list[float]:
    """The column "± error" of a table of exponents."""
    return [float(one) for one in re.findall(r"^  λ\d+ +-?[\d.]+ +([\d.]+)$", text, re.MULTILINE)]


@pytest.mark.slow
def test_the_quoted_table_of_theorems_is_what_the_command_prints():
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    [(command, block)] = re.findall(r"```\n\$ dynloop (theorems .*?)\n(.*?)```", page, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-m", "dynloop", *command.split()],
        capture_output=True, text=True, encoding="utf-8", check=False, env=plain_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert outcomes(done.stdout) == outcomes(block)
    assert len(outcomes(block)) == 13 + 1 + 2  # rows, the summary, and the reasons of two that do not hold


def outcomes(output: str) -> list[str]:
    """The rows of a table of theorems without their numbers, its summary, and which statements have a reason."""
    row = r"^  (T\d+ .*?(?:holds|does not apply|undecided|violated))"
    return re.findall(rf"{row}|^  (of \d+ statements .*)|^  (T[\d, T]+ (?:not applicable|undecided)):", output, re.M)


def without_digits(text: str) -> str:
    """Text with every number, and the width that it takes in a table, left out."""
    return re.sub(r"[\s─]+", " ", re.sub(r"-?\d+(\.\d+)?", "#", text)).strip()


def run(path: str) -> tuple[str, dict[str, object]]:
    """Run the Python of a page, block after block; return its text and what it defined."""
    page = (Path(__file__).parent.parent / path).read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(code, path, "exec"), names)  # noqa: S102 - our own text
    return page, names


def test_the_python_runs_and_prints_what_its_comments_say(capsys):
    run("README.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed.pop(-2) == "[ 1  2  4 -1]"
    found = [float(number) for number in re.findall(r"-?\d+\.\d+", printed.pop())]
    assert found == pytest.approx([-0.916, 0.693], abs=0.03)
    assert printed.pop() == "flip 3.0"
    assert printed.pop() == "['saddle'] [[-3.0101 -0.0299]]"
    assert printed[0] == "100 % of tokens CYCLIC"
    assert printed[1] == "(2, 6)"
    assert 0 < float(printed[2]) < 1
    assert printed[-3].endswith("CHAOTIC")
    found = [float(number) for number in re.findall(r"-?\d+\.\d+", printed[-2])]
    assert found == pytest.approx([0.419, -1.623, 0.002, 0.002], abs=0.001)
    assert float(printed[-1]) == pytest.approx(1.258, abs=0.002)


def test_the_python_of_the_page_on_maps_runs(capsys):
    _, names = run("docs/maps.md")
    assert capsys.readouterr().out == "['PERIODIC(2)']\n"
    m = names["m"]
    lozi = names["dl"].zoo.lozi(1.7, 0.5)
    assert m([[0.3, 0.2]]).tolist() == lozi([[0.3, 0.2]]).tolist()
    assert abs(names["dl"].jacobian(m, [0.3, 0.2]) - names["dl"].jacobian(lozi, [0.3, 0.2])).max() < 1e-15


def test_the_python_of_the_page_on_records_prints_what_the_page_says(capsys):
    run("docs/recorded.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "RecordedClassification: settled"
    assert re.fullmatch(r"settled \d+ float32", printed[2])
    assert printed[3].startswith("0.70 ± 0.0")
    assert printed[4:] == ["undecided", "settled", "settled cyclic True"]


def test_the_python_of_the_page_on_certificates_runs_and_prints_what_it_quotes(capsys):
    pytest.importorskip("flint")
    page, _ = run("docs/certificates.md")
    [quoted] = re.findall(r"```\n(Certificate: .*?)```", page, re.DOTALL)
    assert capsys.readouterr().out == quoted


def test_the_python_of_the_page_on_fixed_points_shows_what_the_page_says(capsys):
    run("docs/fixed_points.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("FixedPoints: 1 orbit of prime period 2 (1 saddle)")
    assert printed[-1].startswith("0 True ")  # no cycle before the fold, slow points there
    assert sorted(re.findall(r"'(\w+)'", printed[-1])) == ["sink", "source"]


def test_the_python_of_the_page_on_continuation_prints_what_its_comments_say(capsys):
    page, _ = run("docs/continuation.md")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said = [line for code in blocks for line in re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)]
    assert capsys.readouterr().out.splitlines() == said
    assert said


def test_the_python_of_the_page_on_measures_of_basins_prints_what_its_comments_say(capsys):
    pytest.importorskip("flint")
    page, _ = run("docs/basins_measures.md")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said = [line for code in blocks for line in re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)]
    assert capsys.readouterr().out.splitlines() == said
    assert len(said) > 12


def test_the_python_of_the_page_on_classification_shows_what_the_page_says(capsys):
    _, names = run("docs/classify.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "100 % of tokens CYCLIC"
    assert printed[1].startswith("(1, 24) 1 0.")
    assert "100 % of starts UNDECIDED → 100 % of starts VANISHING" in printed
    assert "SectionClassification of looped_lm demo:hop-injected: 3 sections" in printed
    assert printed[-1].endswith("over 2 prompts")
    assert names["slowly"].regime[()].name == "VANISHING"
    assert names["found"].unfinished is None


def test_the_python_of_the_page_on_pictures_prints_what_its_pictures_say(capsys, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    page, _ = run("docs/pictures.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["['after 0 loops', 'after 40 loops', 'layers of the last loop, closed']", "['12 inside']"]
    assert (tmp_path / "orbit.pdf").stat().st_size > 1000
    rows = dict(re.findall(r"^\| `(draw_\w+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE))
    assert rows.keys() == {name for name in dl.__all__ if name.startswith("draw_")}
    for name, takes in rows.items():
        [found, *_] = inspect.signature(getattr(dl, name)).parameters.values()
        assert re.findall(r"`(\w+)`", takes) == found.annotation.split(" | "), name


def test_the_python_of_the_page_on_reports_writes_a_page(capsys):
    pytest.importorskip("plotly")
    _, names = run("docs/report.md")
    assert capsys.readouterr().out == "report.html 100 % of tokens CYCLIC\n"
    text = names["page"].read_text(encoding="utf-8")
    assert "All 24 tokens settle into a closed cycle of the layers." in text
    assert "python my_study.py" in text


def test_the_python_of_the_page_on_basins_shows_what_the_page_says(capsys):
    _, names = run("docs/basins.md")
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"2 \[0\.5 0\.5\] \d\.\d", printed[0])
    assert printed[1].startswith("Attractor 1: VANISHING, fixed point at (0, -0.3)")
    assert printed[2:4] == ["[1 2]", "[ 1 -3]"]
    assert printed[4] == "2 (40, 40) 1.0"
    assert set(names["labels"]) == {1, 2}


@pytest.mark.slow
def test_the_python_of_the_page_on_halting_prints_what_the_page_says(capsys):
    _, names = run("docs/halting.md")
    printed = capsys.readouterr().out.splitlines()
    assert [re.fullmatch(r"  (\w+): 1 right; loop .*", line)[1] for line in printed[1:5]] == list(
        names["growing"].rules
    )
    assert [line.split(" | ")[2] for line in printed[5:9]] == ["wrong", "right", "wrong", "right"]
    assert "RAY: nothing converged" in printed[5]
    assert printed[9] == "path independent 1.0000 [0, 0, 0, 0, 0]"
    assert printed[10] == "path dependent [0, 1, 0] [1.0, -1.0, 1.0]"


def test_the_python_of_the_page_on_statements_prints_what_the_page_says(capsys):
    page, names = run("docs/statements.md")
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"of 13 statements 12 hold, 1 not applicable", printed[0])
    assert printed[1] == "T3 dichotomy: holds"
    assert printed[-2] == "does not apply | the orbit converges"
    assert printed[-1] == "('T0', 'T1', 'T2', 'T4', 'T5')"
    for one in names["STATEMENTS"]:
        assert f"\n| {one.name} |" in page


def test_the_python_of_the_tutorial_prints_what_it_says(capsys):
    _, names = run("docs/tutorial.md")
    printed = capsys.readouterr().out
    assert printed.startswith("PERIODIC 2 ")
    assert "UNDECIDED → VANISHING" in printed
    assert "100 % of tokens CYCLIC\n(1, 24)\n" in printed
    assert "100 % of tokens RAY | not applicable" in printed
    assert names["found"].summary() == "100 % of starts CYCLIC"


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("page", ["floor", "which_regime", "hypothesis", "own_block", "interop"])
def test_the_python_of_a_how_to_runs(page, capsys):
    run(f"docs/howto/{page}.md")
    printed = capsys.readouterr().out
    said = {
        "floor": "CYCLIC",
        "which_regime": "add 100 % of tokens RAY",
        "hypothesis": "T3 dichotomy",
        "own_block": "generic",
        "interop": "transformer.h.1 → transformer.h.2",
    }
    assert said[page] in printed


FAMILY_PAGES = sorted((Path(__file__).parent.parent / "docs" / "adapters").glob("*.md"))


@pytest.mark.parametrize(
    "path", [page for page in FAMILY_PAGES if page.stem != "two_scales"], ids=lambda page: page.stem
)
def test_the_python_of_a_page_on_a_family_prints_what_its_comments_say(path, capsys, monkeypatch):
    if path.stem == "x_transformers":
        pytest.importorskip("x_transformers")
    monkeypatch.chdir(Path(__file__).parent.parent)
    page, _ = run(f"docs/adapters/{path.name}")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said = [line for code in blocks for line in re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)]
    assert capsys.readouterr().out.splitlines() == said
    assert said


def test_every_family_has_a_page_that_the_index_names(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    index = (Path(__file__).parent.parent / "docs" / "adapters.md").read_text(encoding="utf-8")
    for family in families():
        assert f"| `{family.name}` |" in index
        page = (Path(__file__).parent.parent / "docs" / "adapters" / f"{family.name}.md").read_text(encoding="utf-8")
        for asked in ("ranularity", "Traps", "Weights", "Memory"):
            assert asked in page, f"{family.name}: {asked}"


def test_the_python_of_the_page_on_inference_prints_what_the_page_says(capsys):
    page, names = run("docs/inference.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("AttentionStability of synthetic pre+concat: 4 of 4 heads change by at most 0.001")
    assert printed[4] == "True"
    assert printed[5].startswith("4 of 4 heads change by at most 0.001 to the last loop")
    assert printed[6] == "100 % of tokens RAY"
    for name, curve in names["stages"].curves.items():
        assert f"\n| `{name}` |" in page
        assert f"{name} {curve.shape} {curve.shape}" in printed
    assert "(2, 4) True" in printed
    assert "RAY 100" in printed[-2]
    assert "CYCLIC 100" in printed[-1]


def test_the_python_of_the_page_on_studies_prints_what_the_page_says(capsys):
    pytest.importorskip("xarray")
    page, _ = run("docs/studies.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] in page
    assert printed[1].startswith("('VANISHING', 'VANISHING', 'PERIODIC(2)', 'PERIODIC(2)', 'CHAOTIC'")
    assert printed[2] == "100 % of starts VANISHING"
    assert printed[3] == "1"
    assert printed[4] == "6 ('map.a', 'seed', 'checkpoint', 'loops')"
    assert printed[5] == "{'map.a': 3, 'seed': 2}"
    [plan] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    read = tomllib.loads(plan)
    assert (read["analysis"], read["grid"]["seed"]["count"]) == ("classify", 10)


def test_the_python_of_the_page_on_checkpoints_prints_what_the_page_says(capsys, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    _, names = run("docs/adapters.md")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("looped_lm demo:hop-injected: one loop = adapter → block 0 → block 1")
    assert printed[1:3] == ["torch.Size([1, 3, 10])", "100 % of tokens CYCLIC"]
    assert printed[3].startswith("mine live Mine: one loop = injection → layer (")
    assert printed[4:] == ["{} True", "100 % of tokens CYCLIC"]
    assert names["m"].family is names["MINE"]
    assert names["report"].gaps.keys() >= {"square 1: output", "square 4: output", "square 16: output", "live model"}


@pytest.mark.parametrize("regime", REGIMES.split("|"))
def test_every_regime_is_in_the_table(regime):
    assert f"| {regime} |" in README


def test_every_link_leads_somewhere():
    root = Path(__file__).parent.parent
    pages = [p for p in (root / "docs").rglob("*.md") if not {"_build", "generated", "gallery"} & set(p.parts)]
    for page in [root / "README.md", root / "CONTRIBUTING.md", *pages]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
