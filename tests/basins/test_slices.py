"""Planes and boxes: which state belongs to which label, the constructors, and what is refused."""

import numpy as np
import pytest
import torch

import dynloop as dl


def test_a_plane_is_origin_and_directions():
    rng = np.random.default_rng(0)
    o, u, v = rng.standard_normal((3, 2, 3))
    found = dl.plane(o, u, v, ((-1, 2), (0, 1)), (4, 5))
    assert found.shape == (4, 5)
    states = found.states(np.arange(20)).reshape(4, 5, 2, 3)
    for i, a in enumerate(found.axes[0]):
        for j, b in enumerate(found.axes[1]):
            np.testing.assert_allclose(states[i, j], o + a * u + b * v, atol=1e-14)
    grid = np.stack(np.meshgrid(*found.axes, indexing="ij"), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(found.coordinates(states.reshape(-1, 2, 3)), grid, atol=1e-12)


def test_tensors_are_taken_too():
    found = dl.plane(torch.zeros(3), torch.eye(3)[0], torch.eye(3)[2], 2.0, 3)
    np.testing.assert_array_equal(found.states(np.array([8])), [[2, 0, 2]])


def test_a_plane_through_two_starts_and_an_attractor_holds_them():
    rng = np.random.default_rng(0)
    first, second, attractor = rng.standard_normal((3, 4, 2))
    found = dl.plane_through(first, second, attractor, n=5, margin=0)
    corners = found.states(np.array([0, 20, 4]))
    np.testing.assert_allclose(corners, [attractor, first, second], atol=1e-14)


def test_a_plane_along_orbits_holds_what_lies_in_one():
    rng = np.random.default_rng(0)
    u, v = np.linalg.qr(rng.standard_normal((6, 2)))[0].T
    states = (rng.standard_normal((50, 2)) * [3, 1]) @ np.stack([u, v]) + 1.0
    found = dl.plane_along_orbits(states[:, None].reshape(50, 1, 2, 3), n=9)
    assert found.origin.shape == (2, 3)
    weights = found.coordinates(states.reshape(50, 2, 3))
    whole = found.origin.ravel() + weights @ found.directions.reshape(2, -1)
    np.testing.assert_allclose(whole, states, atol=1e-12)
    for axis, along in zip(found.axes, weights.T, strict=True):
        assert axis[0] < along.min() < along.max() < axis[-1]


def test_a_plane_along_eigenvectors_is_invariant_under_the_derivative():
    A = np.array([[0.9, 0.4, 0, 0], [-0.4, 0.9, 0, 0], [0, 0, 0.3, 1], [0, 0, 0, 0.2]])
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    M = torch.tensor(Q @ A @ Q.T)
    m = dl.TorchMap([lambda x: x @ M.T], (4,))
    u, v = dl.plane_along_eigenvectors(m, np.zeros(4)).directions
    basis = np.linalg.qr(np.stack([u, v], axis=1))[0]
    for line in (u, v):
        image = M.numpy() @ line
        np.testing.assert_allclose(basis @ (basis.T @ image), image, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: dl.plane(np.zeros(3), np.eye(3)[0], 2 * np.eye(3)[0]), "linearly dependent"),
        (lambda: dl.plane(np.zeros(3), np.eye(3)[0], np.zeros(3)), "linearly dependent or zero"),
        (lambda: dl.plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1], -1), "extent must be a positive number"),
        (lambda: dl.plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1], ((1, 0), (0, 1))), "extent must be"),
        (lambda: dl.plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1], n=1), "n must be an int of at least 2"),
        (lambda: dl.plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1], n=(3, 4, 5)), "n must be an int"),
        (lambda: dl.plane(np.zeros(3), np.eye(2)[0], np.eye(2)[1]), "direction 0 has shape"),
        (lambda: dl.plane("x", np.eye(2)[0], np.eye(2)[1]), "origin must be an array of numbers"),
        (lambda: dl.plane([np.nan, 0], np.eye(2)[0], np.eye(2)[1]), "origin holds NaN"),
        (lambda: dl.plane_through(np.eye(3)[0], 2 * np.eye(3)[0], np.zeros(3)), "directions are linearly dependent"),
        (lambda: dl.plane_through(np.eye(3)[0], np.eye(2)[0], np.zeros(3)), "have shapes"),
        (lambda: dl.plane_through(np.eye(3)[0], np.eye(3)[1], np.zeros(3), margin=-1), "margin must be"),
        (lambda: dl.plane_along_orbits(np.outer(np.arange(5.0), np.ones(3))), "one line alone"),
        (lambda: dl.plane_along_eigenvectors(dl.zoo.logistic(3.2), [0.5]), "no plane"),
    ],
)
def test_what_is_no_plane_is_refused(make, said):
    with pytest.raises(dl.errors.InvalidArgumentError, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)
