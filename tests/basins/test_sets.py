"""Sets that are no cycles: states near them in many coordinates, volumes, angles; and cycles point by point."""

import math

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.basins.cloud import sample

TURN = 2 * math.pi


def two_sets(n=60):
    """Chaos in n coordinates at s = −8 and at s = 8; the basins meet at s = −3, and orbits there are slow."""

    def layer(x):
        s, z = x[:, :1], x[:, 1:]
        return torch.cat([s - 0.001 * (s - 8) * (s + 8) * (s + 3), torch.sin(3 * math.pi * z)], dim=1)

    return dl.TorchMap([layer], (n + 1,))


def test_a_state_near_a_thin_sample_but_in_another_basin_is_not_taken():
    """The nearest of the sample's states are as far from each other as the sets are apart."""
    m, rng = two_sets(), np.random.default_rng(0)
    z = rng.uniform(-0.9, 0.9, (60, 60))
    records = [
        dl.Attractor(
            label=1, period=-1, points=sample(m, np.r_[s, z[0]][None], 2048)[0], regime=dl.Regime.CHAOTIC,
            spectral_radius=math.nan, error=5.0,
        )
        for s in (-8.0, 8.0)
    ]  # fmt: skip
    s = np.repeat([-4.5, -2.8, -2.0], 8)
    labels = dl.by_proximity(m, records, loops=1024)(np.c_[s, z[: len(s)]])
    wanted = np.where(s < -3, 1, 2)
    assert ((labels == wanted) | (labels == -2)).all()
    assert (labels == wanted).mean() > 0.5


def test_two_sets_of_many_coordinates_are_two():
    m, rng = two_sets(), np.random.default_rng(0)
    from dynloop.basins.cloud import same

    one, other, near = (sample(m, np.r_[s, rng.uniform(-0.9, 0.9, 60)][None], 1024)[0] for s in (-8.0, -8.0, 8.0))
    near[:, 0] = -4.0
    assert same(m, one, other)
    assert not same(m, one, near)


def test_a_neighbourhood_of_a_cycle_is_limited_at_each_of_its_points():
    """The cycle −3 → 0 → −3 passes the fixed point 0.1, whose basin begins at 0.05."""

    def layer(x):
        high, low = torch.sigmoid(20 * (x + 1.5)), torch.sigmoid(2000 * (x - 0.05))
        right = (0.3 * x - 3) * (1 - low) + low * (0.1 + 0.3 * (x - 0.1))
        return 0.05 * (x + 3) * (1 - high) + high * right

    m = dl.TorchMap([layer], (1,))
    mapper = dl.by_classification(m, np.linspace(-4, 1.2, 16)[:, None])
    assert [one.period for one in mapper.attractors] == [2, 1]
    assert mapper(np.array([[0.5], [0.7], [1.0], [-0.2]])).tolist() == [2, 2, 2, 1]


def standard(bend=0.0):
    """The standard map, K = 6; with a bend, in other coordinates, in which it keeps no volumes but a density."""

    def there(x, sign=1.0):
        p = x[:, 1:]
        if sign > 0:
            return torch.cat([x[:, :1], p + bend * torch.sin(p)], dim=1)
        q = p
        for _ in range(60):
            q = p - bend * torch.sin(q)
        return torch.cat([x[:, :1], q], dim=1)

    def layer(x):
        x = there(x, -1.0) if bend else x
        p = torch.remainder(x[:, 1:] + 6 * torch.sin(x[:, :1]), TURN)
        x = torch.cat([torch.remainder(x[:, :1] + p, TURN), p], dim=1)
        return there(x) if bend else x

    return dl.TorchMap([layer], (2,), periods=(TURN, TURN))


@pytest.mark.parametrize("bend", [0.0, 0.5])
def test_a_block_that_keeps_volumes_has_no_attractor(bend):
    from dynloop.basins.volumes import keeps_volume, volume_changes

    m = standard(bend)
    logs, errors = volume_changes(m, sample(m, np.array([[1.0, 2.0]]), 2048)[0])
    assert (np.abs(logs).max() > 0.1) == (bend > 0)
    assert keeps_volume(logs, errors)


@pytest.mark.parametrize("r", [None, 3.6, 3.9])
def test_sets_that_shrink_or_fold_volumes_are_attractors(r):
    from dynloop.basins.volumes import keeps_volume, volume_changes

    m = dl.zoo.henon() if r is None else dl.zoo.logistic(r)
    points = sample(m, np.full((1, m.dimension), 0.3))[0]
    logs, errors = volume_changes(m, points)
    assert not keeps_volume(logs, errors)
    if m.dimension == 2:
        np.testing.assert_allclose(logs, np.log(0.3), atol=1e-12)


def test_a_set_whose_volumes_were_not_looked_at_says_so():
    one = dl.Attractor(
        label=1, period=-1, points=np.zeros((4, 300)), regime=dl.Regime.CHAOTIC, spectral_radius=math.nan, error=0.1
    )
    assert repr(one).endswith("volumes not looked at")
    m = dl.zoo.henon()
    (found,) = dl.by_recurrence(m, np.random.default_rng(0).uniform(-0.3, 0.3, (20, 2))).attractors
    assert found.log_volume == pytest.approx(math.log(0.3), abs=1e-12)
    assert "volumes" not in repr(found)


def rotation_beside_wells(reduced):
    def layer(x):
        a = x[:, :1] + 2.3999632
        return torch.cat([torch.remainder(a, TURN) if reduced else a, torch.tanh(2 * x[:, 1:])], dim=1)

    return dl.TorchMap([layer], (2,), periods=(TURN, None))


@pytest.mark.parametrize("reduced", [True, False])
def test_angles_need_not_be_reduced(reduced):
    m = rotation_beside_wells(reduced)
    starts = np.random.default_rng(0).uniform([0, -1], [6, 1], (20, 2))
    starts[10:, 0] += 1000 * TURN
    circles = [
        dl.Attractor(
            label=1, period=-1, points=sample(m, np.array([[1.0, r]]), 2048)[0], regime=dl.Regime.QUASIPERIODIC,
            spectral_radius=math.nan, error=1e-3,
        )
        for r in (-0.957504024, 0.957504024)
    ]  # fmt: skip
    assert circles[0].points[:, 0].max() < TURN
    labels = dl.by_proximity(m, circles, loops=512)(starts)
    assert labels.tolist() == np.where(starts[:, 1] < 0, 1, 2).tolist()


@pytest.mark.slow
def test_a_set_of_six_coordinates_captures():
    """A circle that is attracted to, in six coordinates: too many cells."""

    def step(x, params, out):
        k = 1.1 - 0.1 * (x[0] * x[0] + x[1] * x[1])
        out[0] = k * (-0.7373688 * x[0] - 0.6754902 * x[1])
        out[1] = k * (0.6754902 * x[0] - 0.7373688 * x[1])
        for j in range(2, 6):
            out[j] = 0.5 * x[j]

    m = dl.KernelMap(step, 6)
    starts = np.random.default_rng(0).uniform(-0.9, 0.9, (12, 6))
    circle = dl.Attractor(
        label=1, period=-1, points=sample(m, np.r_[1.0, np.zeros(5)][None], 2048)[0], regime=dl.Regime.QUASIPERIODIC,
        spectral_radius=math.nan, error=1e-3,
    )  # fmt: skip
    mapper = dl.by_proximity(m, [circle], loops=1024)
    assert (mapper(starts) == 1).all()
    assert mapper(np.zeros((1, 6))).tolist() == [-3]


def test_a_set_of_another_map_is_refused():
    set_of = lambda m: dl.Attractor(
        label=1, period=-1, points=sample(m, np.array([[0.1, 0.1]]), 2048)[0], regime=dl.Regime.CHAOTIC,
        spectral_radius=math.nan, error=1e-3,
    )  # fmt: skip
    m = dl.zoo.henon()
    assert dl.by_proximity(m, [set_of(m)])(np.array([[0.1, 0.1]])).tolist() == [1]
    with pytest.raises(dl.errors.InvalidArgumentError, match="maps its states off it"):
        dl.by_proximity(m, [set_of(dl.zoo.henon(1.3, 0.3))])
