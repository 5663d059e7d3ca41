"""docs/tasks.md: each cell of Python does what its row says. tests/test_pages.py parses those of the command line."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import dynloop as dl

PAGE = (Path(__file__).parent.parent / "docs" / "tasks.md").read_text(encoding="utf-8")
LINES = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("|")]
ROWS = {task: python for task, _, python in LINES[2:]}  # behind the head and its rule
HALVING = dl.TorchMap([lambda x: 0.5 * x], (2,), name="halving", start=lambda rng, n: rng.normal(size=(n, 2)))
SLOW = dl.zoo.logistic(2.9995)


class Plain(torch.nn.Module):
    """A model that nobody looped: eight layers called ``layers``."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(9, 8), torch.nn.Linear(8, 9)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(8))

    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


CELLS = {  # the row: what stands for its names, and what must hold of what each cell returns
    "know what my checkpoint does": (
        lambda: {"folder": "demo:hop-injected", "prompt": "c 1 2"},
        [lambda found: found.summary() == "100 % of tokens CYCLIC"],
    ),
    "know it for a thousand prompts": (
        lambda: {"folder": "demo:hop-injected", "prompts": ["c 1 2", "a 1 3"]},
        [lambda found: found.shares() == {"CYCLIC": 1.0}],
    ),
    "classify states that I saved": (
        lambda: {"states": 0.5 ** np.arange(200.0)[:, None] + [[1.0, 2.0]]},
        [lambda found: found.verdict == "settled"],
    ),
    "know how fast it converges": (
        lambda: {"m": HALVING, "x": [1.0, 1.0], "found": dl.classify(HALVING, [[1.0, 1.0]])},
        [
            lambda spectrum: spectrum.exponents == pytest.approx([np.log(0.5)] * 2),
            lambda rate: rate == pytest.approx([0.5]),
        ],
    ),
    "see the fixed points, unstable ones too": (
        lambda: {"m": dl.zoo.henon()},
        [lambda found: found.stability.tolist() == ["saddle", "saddle"]],
    ),
    "know which theorem applies": (
        lambda: {"m": dl.synthetic.looped_transformer(layers=1, width=8, heads=1, tokens=2, gain=0.5)},
        [lambda table: table.summary().startswith("of 13 statements 10 hold, ")],
    ),
    "loop layers 3–6 of my own model": (
        lambda: {"model": Plain().eval(), "prompt": [1, 2]},
        [lambda m: m.layer_names == ("layers.3", "layers.4", "layers.5", "layers.6")],
    ),
    "try blocks with random weights": (dict, [lambda m: "pre" in m.name]),
    "sweep a parameter": (
        lambda: {"family": dl.zoo.logistic, "values": [2.5, 3.2]},
        [lambda found: [one.name for one in found.regime.ravel()] == ["VANISHING", "PERIODIC"]],
    ),
    "go on where a run ran out of loops": (
        lambda: {"m": SLOW, "found": dl.classify(SLOW, [[0.3]], loops=64)},
        [lambda more: [one.name for one in more.regime] == ["VANISHING"]],
    ),
}


def test_there_are_ten_rows_and_each_is_tried():
    assert len(ROWS) == 10
    assert ROWS.keys() == CELLS.keys()


@pytest.mark.parametrize("row", ROWS)
def test_the_python_of_a_row_does_what_it_says(row):
    make, hold = CELLS[row]
    names = make()
    cells = re.findall(r"`([^`]+)`", ROWS[row])
    assert len(cells) == len(hold)
    for cell, holds in zip(cells, hold, strict=True):
        found = eval(cell.replace("loops=…", "loops=4096"), {"dl": dl, **names})  # noqa: S307 - our own page
        assert holds(found), f"{cell}: {found}"


def test_the_run_that_is_gone_on_with_had_run_out_of_loops():
    assert CELLS["go on where a run ran out of loops"][0]()["found"].regime[0] is dl.Regime.UNDECIDED
