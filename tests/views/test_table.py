"""The table of verdicts: grouping, numbers, reasons, width, and text that is not to be trusted."""

import io

import numpy as np
import pytest
from rich.console import Console

from dynloop.orbits.verdict import Regime
from dynloop.views.table import COLUMNS, one_line, render, rows
from tests.views.made import made, mixed


def drawn(found, width=80, **options) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(render(found, **options))
    return console.file.getvalue()


def test_groups_add_up_and_the_largest_comes_first():
    grouped = rows(mixed())
    assert [(row.label, row.count) for row in grouped] == [("CYCLIC", 9), ("PERIODIC(2)", 2), ("UNDECIDED", 1)]
    assert sum(row.share for row in grouped) == pytest.approx(1)


def test_periods_are_groups_of_their_own():
    grouped = rows(made([Regime.PERIODIC] * 3, periods=[2, 4, 2]))
    assert [row.label for row in grouped] == ["PERIODIC(2)", "PERIODIC(4)"]


def test_numbers_are_the_largest_of_the_group_and_unknown_stays_unknown():
    cyclic, _, undecided = rows(mixed())
    assert cyclic.numbers["rate"] == pytest.approx(0.88)
    assert cyclic.numbers["residual"] == pytest.approx(9e-15)
    assert np.isnan(undecided.numbers["rate"])


def test_members_are_named_by_runs():
    assert [row.where for row in rows(mixed())] == ["tokens 0–8", "tokens 9–10", "token 11"]
    assert rows(made([Regime.RAY] * 3))[0].where == ""


def test_scattered_members_are_counted():
    found = made([[Regime.RAY, Regime.CYCLIC] * 10], causal=True)
    assert rows(found)[0].where == "10 of 20"
    assert rows(made([[Regime.RAY], [Regime.CYCLIC]], causal=True))[0].where == "1 of 2"


def test_reasons_that_differ_in_numbers_are_one():
    cyclic = rows(mixed())[0]
    assert cyclic.reasons == (("settled at loop 40 with residual 1e-15", 9),)
    two = rows(made([Regime.UNDECIDED] * 3, reasons=["too slow", "at 3e-4", "at -2.5E+3"]))[0]
    assert two.reasons == (("at 3e-4", 2), ("too slow", 1))


def test_a_single_start_without_batch_axis():
    found = made(Regime.CYCLIC, rate=0.5)
    assert [(row.label, row.count, row.where) for row in rows(found)] == [("CYCLIC", 1, "")]
    assert "1 start," in drawn(found)


def test_every_number_fits_into_80_columns():
    wide = dict.fromkeys(COLUMNS, 1.234e-15) | {"rate": 0.98765, "exponent": -1.2e-4, "loops": 100000}
    text = drawn(made([Regime.QUASIPERIODIC] * 3 + [Regime.PERIODIC], periods=[-1] * 3 + [1200], **wide))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert all(name in text for name in (*COLUMNS, "PERIODIC(1200)", "100000", "-1e-04", "0.9877"))


def test_columns_without_a_number_are_left_out():
    text = drawn(made([Regime.CHAOTIC], exponent=0.4192))
    assert "0.419" in text
    assert "rate" not in text


def test_text_of_others_is_shown_and_not_obeyed():
    text = drawn(
        made([Regime.RAY], reasons=["[red]no markup[/red] [/]"]), title="a\x1b[31m\nb [bold]", about=["[link]"]
    )
    assert "\x1b" not in text
    assert "a\\x1b[31m b [bold]" in text
    assert "[red]no markup[/red] [/]" in text
    assert "[link]" in text


def test_one_line():
    assert one_line("a\tb\r\nc\x07é→") == "a b  c\\x07é→"


def test_many_kinds_of_reasons_are_counted():
    found = made([Regime.UNDECIDED] * 5, reasons=list("abcde"))
    assert "… and 2 more kinds of reasons" in drawn(found)
