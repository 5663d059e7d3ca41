"""A solution on the edge of a clamp is stable on one side alone; a kink that both sides contract to does no harm."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.orbits.kinks import repels_beside_a_kink


def chebyshev(x):
    """T_3 on [−1, 1], chaotic; its fixed point 1 has the multiplier 9 inside, and 0 outside by the clamp."""
    z = x.clamp(-1.0, 1.0)
    return 4 * z**3 - 3 * z


def made(step, dtype=torch.float64, size=2):
    return dl.TorchMap([step], (size,), dtype=dtype)


def beside(x):
    """The chaotic coordinate beside one that contracts; on the edge itself the derivative is that of the flat side."""
    y = torch.where(x[..., 1] >= 1, torch.ones_like(x[..., 1]), chebyshev(x[..., 1]))
    return torch.stack([0.5 * x[..., 0], y], -1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("edge", [1.0, 1.0078125])
def test_an_orbit_on_the_edge_of_a_clamp_is_not_called_convergent(dtype, edge):
    found = dl.classify(made(beside, dtype), np.array([[0.3, edge]]), loops=512)
    assert found.regime[0].name == "UNDECIDED", found.reason[0]


def test_the_reason_names_the_kink():
    """An orbit that comes from the side that contracts does converge; it is left open, and the reason says why."""
    m = made(lambda x: torch.where(x >= 1, 0.2, 1.2) * (x - 1) + 1)
    found = dl.classify(m, np.array([[1.5, 1.25]]), loops=512)
    assert found.regime[0].name == "UNDECIDED"
    assert "at a kink of the map" in found.reason[0]


def leaky(x):
    return torch.where(x > 0, 0.7, -0.4) * x + 0.1 * x.flip(-1).relu()


def test_a_kink_that_contracts_on_both_sides_is_a_limit():
    found = dl.classify(made(leaky), np.array([[0.3, -0.2]]), loops=512)
    assert found.regime[0].name == "VANISHING"


@pytest.mark.parametrize(
    ("step", "repels"),
    [
        (chebyshev, True),
        (lambda x: 0.5 * (x - 1) + 1, False),
        (lambda x: torch.where(x > 1, 0.2, 0.9) * (x - 1) + 1, False),
        (lambda x: torch.where(x > 1, 0.2, 1.2) * (x - 1) + 1, True),
        (lambda x: torch.where(x > 1, 0.2, 1.01) * (x - 1) + 1, True),
        (lambda x: torch.where(x > 1 - 1e-6, torch.where(x > 1, 0.2, 9.0) * (x - 1) + 1, torch.nan), True),
        (lambda x: torch.where(x > 1, 0.2, -1.2) * (x - 1) + 1, False),  # thrown to the side that contracts
        (lambda x: 1 + (x - 1) ** 2, False),
    ],
    ids=[
        "clamp",
        "smooth",
        "both contract",
        "one repels",
        "one repels slowly",
        "one is lost",
        "thrown over",
        "superstable",
    ],
)
def test_both_sides_are_asked(step, repels):
    assert repels_beside_a_kink(made(step), np.ones(2), 1, 1) is repels


def test_tokens_that_are_not_solved_for_are_left_alone():
    def step(x):
        return torch.stack([0.5 * (x[:, 0] - 1) + 1, chebyshev(x[:, 1])], 1)

    m = dl.TorchMap([step], (2, 3), dtype=torch.float64, causal=True)
    assert not repels_beside_a_kink(m, np.ones((2, 3)), 1, 1)
    assert repels_beside_a_kink(m, np.ones((2, 3)), 1, 2)
