"""The table of exponents and its reading: right words, no more digits than the error supports, nothing cut off."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

import dynloop as dl
from dynloop.views.exponents import render
from dynloop.views.reading import reading, sign


def spectrum(exponents, error=0.01, bias=0.0, **fields):
    values = np.array(exponents, dtype=float)
    found = dl.lyapunov_spectrum(dl.zoo.logistic(2.5), [0.3])
    made = {
        "exponents": values, "standard_error": np.full(values.shape, error), "bias": np.full(values.shape, bias),
        "history": values[None], "finite_time": values[None], "effective_size": values, "period": 0, "loops": 10_000,
    }  # fmt: skip
    return dataclasses.replace(found, **made | fields)


def drawn(found, m, width=80, **options):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(found, m, **options))
    return console.export_text()


@pytest.mark.parametrize(
    ("exponents", "error", "bias", "expected"),
    [
        ([0.5, -1.0], 0.01, 0.0, 1),
        ([-0.5, -1.0], 0.01, 0.0, -1),
        ([0.01, -1.0], 0.01, 0.0, 0),
        ([0.02, -1.0], 0.001, 0.02, 0),
        ([-np.inf], np.nan, np.nan, -1),
    ],
)
def test_the_sign_is_no_more_certain_than_the_error(exponents, error, bias, expected):
    found = spectrum(exponents, error, bias)
    assert sign(found) == expected
    said = reading(found)
    assert ("separate:" in said) == (expected > 0)
    assert ("approach each other" in said or "fall" in said) == (expected < 0)
    assert "chao" not in said  # no regime is claimed


def test_an_orbit_that_was_lost_is_told():
    found = spectrum([np.nan], status=dl.Status.DIVERGED)
    assert "stopped being finite" in drawn(found, dl.zoo.logistic(4.0))


def test_many_exponents_are_counted_and_not_all_listed():
    m = dl.zoo.tanh_network(40)
    text = drawn(spectrum(-np.arange(1.0, 41.0)), m)
    assert "λ12" in text
    assert "λ13" not in text
    assert "28 more" in text


def test_names_of_others_are_shown_and_never_read_as_markup():
    m = dl.TorchMap([lambda x: 0.5 * x], (2,), layer_names=["[red]layer[/red]" + "x" * 60])
    found = dl.lyapunov_spectrum(m, [1.0, 1.0], per_layer=True)
    text = drawn(found, m, title="[bold]title[/bold]")
    assert "[red]layer[/red]" in text
    assert "[bold]title[/bold]" in text
    assert "x" * 60 in "".join(line.strip().split()[0] for line in text.splitlines() if "xx" in line).replace(
        "[red]layer[/red]", ""
    )


@pytest.mark.parametrize("tokens", [3, 40])
def test_eighty_columns_are_enough(tokens):
    m = dl.synthetic.looped_transformer(norm="pre", gain=0.7, layers=1, width=8, heads=2, tokens=tokens)
    found = dl.lyapunov_spectrum(m, k=8, loops=100, transient=20, per_token=True)
    text = drawn(found, m, title="a block")
    assert "…" not in text.replace("… and", "")
    assert all(len(line) <= 80 for line in text.splitlines())
