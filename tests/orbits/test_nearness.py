"""A neutral solution must stand still: steps of some ten roundings that add up are a slow ray, not a continuum."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.testing.known.coordinates import orthogonal


@pytest.mark.parametrize(("push", "start"), [(1e-14, 1.0), (1e-13, 1.0), (-1e-13, 2.0), (1e-8, 1e6)])
def test_a_ray_whose_steps_are_some_ten_roundings_does_not_converge(push, start):
    found = dl.classify(dl.TorchMap([lambda x: x + push], (1,)), [[start]])
    assert found.regime[0] in (dl.Regime.UNDECIDED, dl.Regime.RAY)


def test_layers_that_close_but_for_some_ten_roundings_are_no_polygon():
    found = dl.classify(dl.TorchMap([lambda x: x + 1 + 1e-14, lambda x: x - 1], (1,)), [[1.0]])
    assert found.regime[0] is dl.Regime.UNDECIDED


@pytest.mark.parametrize(("layers", "dim"), [(1, 3), (3, 20), (12, 20)])
def test_rounding_of_many_layers_that_undo_each_other_is_a_continuum(layers, dim):
    rng = np.random.default_rng(layers)
    turns = [torch.as_tensor(orthogonal(rng, dim)) for _ in range(layers)]

    def back(x):
        for Q in turns[::-1]:
            x = (x - 0.1) @ Q.T
        return x

    m = dl.TorchMap([*[lambda x, Q=Q: x @ Q + 0.1 for Q in turns], back], (dim,))
    found = dl.classify(m, rng.standard_normal((1, dim)))
    assert found.regime[0] is dl.Regime.CYCLIC
    assert "continuum" in found.reason[0]
