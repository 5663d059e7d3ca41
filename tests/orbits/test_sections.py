"""The regime at every section of the loop."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.orbits.verdict import Regime


def verdicts(found, l):
    return [r.name for r in np.ravel(found.regime[l])]


@pytest.mark.parametrize("period", [1, 3])
def test_as_each_cyclic_permutation_is_classified_by_itself(period):
    """The oracle: classify every rotation of the layers from its own section."""
    from dynloop.testing import known

    rng = np.random.default_rng(4)
    row = (
        known.affine(rng, dim=4, layers=3, kind="cyclic", rate=0.5)
        if period == 1
        else known.cycle(rng, period=3, dim=4, layers=3)
    )
    m, x = row.map, row.start
    found = dl.classify_sections(m, dl.classify(m, np.asarray(x)[None]))
    assert found.regime.shape == (3, 1)
    assert np.nanmax(found.residual) <= 1e-12
    sections = m.numpy(m.sections(m.native(np.asarray(x)[None])))
    for l in range(3):
        own = dl.classify(m.rotate(l), sections[l])
        assert own.regime[0] is found.regime[l, 0]
        assert own.period[0] == found.period[l, 0] == period


@pytest.mark.parametrize(("last", "regime"), [(lambda x: 2 * x + 1, "RAY"), (lambda x: 2.2 * x, "DIVERGENT")])
def test_unbounded_orbits_are_classified_at_each_section_by_themselves(last, regime):
    m = dl.TorchMap([lambda x: 0.5 * x, last], (1,))
    found = dl.classify_sections(m, dl.classify(m, [[2.0]]))
    assert verdicts(found, 0) == verdicts(found, 1) == [regime]
    assert not any(str(reason).startswith("every section") for reason in found.reason.ravel())


def test_a_true_ray_is_one_at_every_section():
    m = dl.TorchMap([lambda x: x + 1, lambda x: x + 0.5 * torch.sign(x)], (2,))
    found = dl.classify_sections(m, dl.classify(m, [[1.0, 2.0]]))
    assert verdicts(found, 0) == verdicts(found, 1) == ["RAY"]


def test_lengths_are_those_of_the_polygon():
    m = dl.TorchMap([lambda x: 0.5 * x + 2, lambda x: x - 1, lambda x: x + 0], (1,))  # fixed point 2: 2 → 3 → 2 → 2
    found = dl.classify_sections(m, dl.classify(m, [[0.0]]))
    np.testing.assert_allclose(found.increment[:, 0], [1 / 2, 1 / 3, 0], atol=1e-12)
    np.testing.assert_allclose(found.nearest[:, 0], [0, 1 / 3, 0], atol=1e-12)


def test_tokens_of_a_causal_block_each_have_their_own():
    m = dl.synthetic.looped_transformer(norm="huginn", injection="concat", layers=2, width=16, heads=2, tokens=4)
    one = dl.classify(m)
    found = dl.classify_sections(m, one)
    assert found.regime.shape == (m.layer_count, *one.regime.shape)
    assert found.layers == tuple(m.layer_names)
    for l in range(m.layer_count):
        np.testing.assert_array_equal(found.regime[l], one.regime)
    assert np.nanmax(found.residual) <= 1e-11


def test_chaos_and_undecided_are_carried_with_no_residual():
    m = dl.zoo.logistic(4.0)
    found = dl.classify_sections(m, dl.classify(m, [0.3]))
    assert found.regime.tolist() == [Regime.CHAOTIC]
    assert np.isnan(found.residual).all()
    assert np.isnan(found.nearest).all()
    slow = dl.TorchMap([lambda x: x - 1e-3 * x**3, lambda x: x + 0], (1,))
    found = dl.classify_sections(slow, dl.classify(slow, [[1.0]], loops=32))
    assert verdicts(found, 1) == ["UNDECIDED"]


def test_a_layer_with_memory_is_found_out():
    """A layer whose output depends on more than the state: the sections of the solved point do not return."""
    calls = []

    def forgetful(x):
        calls.append(0)
        return x + (0.1 if remembers and len(calls) == 2 else 0.0)

    remembers = False
    m = dl.TorchMap([lambda x: 0.5 * x + 1, forgetful], (1,), name="forgetful")
    one = dl.classify(m, [[0.0]])
    assert one.regime[0] is Regime.VANISHING or one.regime[0] is Regime.CYCLIC
    remembers, calls[:] = True, []
    found = dl.classify_sections(m, one)
    assert Regime.UNDECIDED in found.regime.ravel()
    assert any("would be explained by rounding" in reason for reason in found.reason.ravel())


def test_another_map_is_refused():
    found = dl.classify(dl.zoo.logistic(3.2), [[0.3]])
    with pytest.raises(InvalidArgumentError, match=r"found was made with another map: its map is 'logistic"):
        dl.classify_sections(dl.zoo.henon(), found)
