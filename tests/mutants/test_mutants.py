"""Every mutant really changes the library and leaves nothing behind; the table in docs lists exactly them."""

import re
import sys

import pytest

from tests.mutants import run
from tests.mutants.named import MUTANTS
from tests.mutants.patching import broken, load


def contents():
    """What every module and class of the library holds."""
    load()
    found = {}
    for key, module in list(sys.modules.items()):
        if key.startswith("dynloop") and module is not None:
            for name, value in list(vars(module).items()):
                found[key, name] = value
                if isinstance(value, type) and value.__module__ == key:
                    found |= {(key, name, inner): v for inner, v in vars(value).items()}
    return found


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_changes_the_library_and_is_taken_back(name):
    before = contents()
    with broken(MUTANTS[name]) as patch:
        assert patch.done
        now = contents()
        changed = {key for key in before if now[key] is not before[key]}
        assert changed
    after = contents()
    assert all(after[key] is before[key] for key in before)


def test_there_are_enough_and_each_is_aimed_at_a_file_of_the_suite():
    assert len(MUTANTS) >= 15
    assert {mutant.aim for mutant in MUTANTS.values()} <= set(run.suite())


def test_the_table_lists_exactly_the_mutants_and_tests_that_exist():
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| `(\S+)` \|$", run.TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(name, what) for name, what, _ in rows] == [(name, mutant.what) for name, mutant in MUTANTS.items()]
    for _, _, test in rows:
        file, function = test.split("::")
        assert f"def {function}(" in (run.ROOT / "tests" / "theory" / file).read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_mutant_is_killed():
    assert run.main([]) == 0
