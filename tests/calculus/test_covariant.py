"""Covariant vectors: eigenvectors where there are some, and covariance everywhere."""

import math

import numpy as np
import pytest
import torch

import dynloop as dl


def linear(matrix):
    A = torch.as_tensor(matrix, dtype=torch.float64)
    return dl.TorchMap([lambda x: x @ A.T], (len(A),))


def along(u, v):
    return abs(float(u @ v)) / np.linalg.norm(u) / np.linalg.norm(v)


# -- oracles ----------------------------------------------------------------------------------------------------------


def test_a_linear_contraction_has_its_eigenvectors():
    A = np.array([[0.5, 0.3, 0.1], [0.0, 0.8, 0.2], [0.0, 0.0, 0.2]])
    found = dl.covariant_vectors(linear(A), np.ones(3), loops=3)
    values, vectors = np.linalg.eig(A)
    for j, i in enumerate(np.argsort(-values)):
        np.testing.assert_allclose(along(found.vectors[1, j], vectors[:, i]), 1, atol=1e-12)
    np.testing.assert_allclose(found.growth, np.log([[0.8, 0.5, 0.2]] * 3), atol=1e-12)


def test_the_cat_map_has_the_same_directions_everywhere():
    found = dl.covariant_vectors(dl.zoo.cat(), [0.3, 0.2], loops=20)
    golden = (1 + math.sqrt(5)) / 2
    for v in found.vectors[:, 0]:
        np.testing.assert_allclose(along(v, np.array([1, golden])), 1, atol=1e-12)
    np.testing.assert_allclose(found.exponents, [2 * math.log(golden), -2 * math.log(golden)], atol=1e-12)
    np.testing.assert_allclose(found.angles, math.pi / 2, atol=1e-7)


# -- invariants -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 3])
def test_vectors_are_carried_into_each_other(k):
    m = dl.zoo.folded_towel()
    found = dl.covariant_vectors(m, [0.085, -0.121, 0.075], k=k, loops=100, transient=300, backward=300)
    for t in range(99):
        J = dl.jacobian(m, found.states[t])
        for j in range(k):
            w = J @ found.vectors[t, j]
            np.testing.assert_allclose(along(w, found.vectors[t + 1, j]), 1, atol=1e-9)
            np.testing.assert_allclose(math.log(np.linalg.norm(w)), found.growth[t, j], atol=1e-9)


def test_the_exponents_are_those_of_the_spectrum():
    m = dl.zoo.henon()
    found = dl.covariant_vectors(m, [0.1, 0.1], loops=5000)
    spectrum = dl.lyapunov_spectrum(m, [0.1, 0.1], loops=5000)
    error = np.hypot(found.standard_error, spectrum.standard_error)
    assert np.all(np.abs(found.exponents - spectrum.exponents) < 5 * error)
    assert found.angles.min() < 0.02  # the Hénon attractor has near tangencies


def test_a_block_and_its_batch_axis():
    m = dl.synthetic.looped_transformer(norm="pre", gain=0.7, layers=1, width=8, heads=2, tokens=3)
    found = dl.covariant_vectors(m, k=2, loops=10)
    assert found.vectors.shape == (10, 2, 3, 8)
    np.testing.assert_allclose(np.linalg.norm(found.vectors.reshape(10, 2, -1), axis=-1), 1)


# -- boundaries -------------------------------------------------------------------------------------------------------


def test_directions_that_are_contracted_to_nothing_are_unknown():
    found = dl.covariant_vectors(linear([[0.5, 0.0], [1.0, 0.0]]), [1.0, 1.0], loops=5)
    np.testing.assert_allclose(found.growth[:, 0], math.log(0.5), atol=1e-12)
    assert np.isnan(found.vectors[:, 1]).all()
    assert found.status is dl.Status.BELOW_RANK_TOLERANCE


def test_an_orbit_that_is_lost_has_no_vectors():
    m = dl.TorchMap([lambda x: 3 * x**3], (2,))
    found = dl.covariant_vectors(m, [2.0, 0.1], loops=20, transient=0, backward=0)
    assert np.isnan(found.vectors).all()
    assert found.status is dl.Status.DIVERGED


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"k": 3}, "k must be an int from 1 to 2, the dimension; got 3"),
        ({"loops": 0}, "loops must be a positive int; got 0"),
        ({"backward": -1}, "backward must be an int of at least 0"),
    ],
    ids=str,
)
def test_bad_input_is_named(settings, words):
    with pytest.raises(dl.errors.InvalidArgumentError, match=words):
        dl.covariant_vectors(dl.zoo.henon(), [0.1, 0.1], **settings)
