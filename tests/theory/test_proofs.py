"""theory/dichotomy.v: Coq accepts it, its theorems rest on nothing, and they say what the notes say."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "theory" / "dichotomy.v"
TEXT = SOURCE.read_text(encoding="utf-8")
NAMED = ["telescoping", "rotation_fixed_point", "closed_polygon", "never_one_active_layer", "dichotomy"]
THEOREMS = re.findall(r"^Theorem (\w+)", TEXT, re.MULTILINE)
CLOSED = "Closed under the global context"
FORBIDDEN = r"\b(Axioms?|Parameters?|Admitted|admit|give_up|Conjecture|Abort|Unset|bypass_check|Hypothes[ie]s)\b"

# The theorems as a reader of the notes would write them: the file below compiles only if they are these.
STATEMENTS = """
Require Import dichotomy.
From Coq Require Import List Arith.
Import ListNotations.
Open Scope state_scope.

Check telescoping : forall (G : Group) (Ls : list (G -> G)) (x : G),
  fold_right plus zero (map (fun l => nth l Ls (fun y => y) (section Ls l x) - section Ls l x) (seq 0 (length Ls)))
  = fold_left (fun y L => L y) Ls x - x.

Check rotation_fixed_point : forall (X : Type) (Ls : list (X -> X)) (l : nat) (x : X),
  loop Ls x = x -> loop (skipn l Ls ++ firstn l Ls) (loop (firstn l Ls) x) = loop (firstn l Ls) x.

Check closed_polygon : forall (G : Group) (Ls : list (G -> G)) (x : G),
  loop Ls x = x <-> fold_right plus zero (increments Ls x) = zero.

Check never_one_active_layer : forall (G : Group) (Ls : list (G -> G)) (x : G), loop Ls x = x ->
  ~ exists i, i < length Ls /\\ increment Ls i x <> zero /\\
              forall j, j < length Ls -> j <> i -> increment Ls j x = zero.

Check dichotomy : forall (G : Group), (forall a b : G, {a = b} + {a <> b}) ->
  forall (Ls : list (G -> G)) (x : G), loop Ls x = x ->
  let vanishing := (forall l, l < length Ls -> increment Ls l x = zero) /\\
                   (forall l, l < length Ls -> section Ls l x = x) in
  let cyclic := (exists i j, i < j < length Ls /\\ increment Ls i x <> zero /\\ increment Ls j x <> zero) /\\
                (exists i j, i < j < length Ls /\\ section Ls i x <> section Ls j x) in
  (vanishing \\/ cyclic) /\\ ~ (vanishing /\\ cyclic).

Check equal_minimal_periods : forall (X : Type) (Ls : list (X -> X)) (l p : nat) (x : X),
  minimal_period (loop Ls) x p -> minimal_period (loop (rotate l Ls)) (section Ls l x) p.

Check basins_carried_by_layers : forall (X : Type) (C : Convergence X) (Ls : list (X -> X)) (l : nat) (x y : X),
  loop Ls x = x -> continuous_along C Ls x -> l < length Ls ->
  (basin C (rotate l Ls) (section Ls l x) y <-> basin C (rotate (S l) Ls) (section Ls (S l) x) (layer Ls l y)).

Check limit_is_fixed : forall (X : Type) (C : Convergence X) (Ls : list (X -> X)) (x0 x : X),
  continuous_along C Ls x -> tends C (fun t => iterate (loop Ls) t x0) x -> loop Ls x = x.
"""


def prints() -> list[str]:
    return re.findall(r"^Print Assumptions (\w+)\.$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The folder of the compiled file, and what coqc printed."""
    if shutil.which("coqc") is None:
        pytest.skip("coqc is missing: apt-get install --no-install-recommends coq")
    folder = tmp_path_factory.mktemp("coq")
    shutil.copy(SOURCE, folder)
    return folder, coqc(folder, SOURCE.name)


def coqc(folder: Path, name: str) -> str:
    done = subprocess.run(["coqc", "-q", name], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S607 - whichever coqc is first on the path
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_coq_accepts_the_file_and_every_theorem_rests_on_nothing(compiled):
    _, said = compiled
    assert set(NAMED) <= set(prints())
    assert said.splitlines() == [CLOSED] * len(prints())


def test_the_theorems_are_the_statements_of_the_notes(compiled):
    folder, _ = compiled
    (folder / "statements.v").write_text(STATEMENTS, encoding="utf-8")
    coqc(folder, "statements.v")


def test_an_axiom_would_be_found(compiled, tmp_path):
    word = "Ax" + "iom"
    (tmp_path / "bad.v").write_text(
        f"{word} granted : False.\nTheorem telescoping : 0 = 1.\nProof. destruct granted. Qed.\n"
        "Print Assumptions telescoping.\n",
        encoding="utf-8",
    )
    assert coqc(tmp_path, "bad.v").splitlines() != [CLOSED]


def test_every_theorem_is_printed():
    [others] = re.findall(r"^Definition the_others :=(.*?)\.$", TEXT, re.MULTILINE | re.DOTALL)
    asked = [*prints(), *re.findall(r"@(\w+)", others)]
    assert prints()[-1] == asked.pop(len(prints()) - 1) == "the_others"
    assert sorted(THEOREMS) == sorted(asked)


def test_nothing_is_assumed_in_the_text():
    assert re.findall(FORBIDDEN, TEXT) == []


def test_variables_stand_in_sections_only():
    inside = ["file"]
    for line in TEXT.splitlines():
        if opened := re.match(r"(Section|Module) \w+\.", line):
            inside.append(opened[1])
        elif re.match(r"End \w+\.", line):
            inside.pop()
        assert inside[-1] == "Section" or not re.match(r"\s*(Variables?|Context)\b", line), line


@pytest.mark.slow  # it compiles once more
def test_make_proofs_leaves_nothing_behind(compiled):
    before = sorted(SOURCE.parent.iterdir())
    done = subprocess.run(["make", "proofs"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607 - whichever make is first on the path
    assert done.returncode == 0, done.stderr
    assert f"{len(THEOREMS)} theorems" in done.stdout
    assert sorted(SOURCE.parent.iterdir()) == before


def test_make_proofs_without_coqc_says_how_to_get_it(tmp_path):
    make = shutil.which("make")
    done = subprocess.run(
        [make, "proofs"], cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)}
    )
    assert done.returncode != 0
    assert "apt-get install --no-install-recommends coq" in done.stderr
