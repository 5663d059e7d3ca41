"""Discs of multipliers hold the eigenvalues, also of matrices whose eigenvalues cannot be told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("flint")

from dynloop.orbits.certificates.backend import exact, hull, workprec
from dynloop.orbits.certificates.multipliers import enclosed_multipliers


def enclosed(*factors, width=0.0):
    with workprec(128):
        return enclosed_multipliers(
            [[[exact(float(a)) + hull(-width, width) for a in row] for row in A] for A in factors]
        )


def test_a_product_is_taken_in_the_order_of_the_cycle():
    one, two = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([[0.5, 0.0], [1.0, 0.25]])
    found = enclosed(one, two)
    values = np.linalg.eigvals(two @ one)
    assert np.sort(found.values.real) == pytest.approx(np.sort(values), abs=1e-12)


@pytest.mark.parametrize(
    ("matrix", "stability"),
    [
        ([[0.5, 1.0], [0.0, 0.5]], "sink"), ([[0.9, 100.0], [0.0, 0.9]], "sink"), ([[0.0, 1.0], [0.0, 0.0]], "sink"),
        ([[0.0, -1.0], [1.0, 0.0]], "unproved"), ([[1.0, 1.0], [0.0, 1.0]], "unproved"),
        ([[2.0, 0.0], [0.0, 0.5]], "saddle"), ([[0.0, -2.0], [2.0, 0.0]], "source"), ([[0.0]], "sink"),
        ([[-1.0]], "unproved"), ([[0.5, 0.0], [0.0, 0.5]], "sink"),
    ],
)  # fmt: skip
def test_stability(matrix, stability):
    found = enclosed(np.array(matrix))
    assert found.stability == stability
    for value in np.linalg.eigvals(np.array(matrix)):
        assert (np.abs(found.values - value) <= found.radii + 1e-7).any()


@settings(max_examples=40)
@given(st.integers(2, 4), st.integers(0, 10**6), st.sampled_from([0.0, 1e-9, 1e-4, 0.1]))
def test_discs_hold_the_eigenvalues_of_every_matrix_of_the_interval(n, seed, width):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    found = enclosed(A, width=width)
    for _ in range(5):
        values = np.linalg.eigvals(A + width * rng.uniform(-1, 1, (n, n)))
        for value in values:
            assert (np.abs(found.values - value) <= found.radii + 1e-9 * (1 + abs(value))).any()
        moduli = np.abs(values)
        kinds = {"sink": (moduli < 1).all(), "source": (moduli > 1).all(), "unproved": True}
        assert kinds.get(found.stability, (moduli > 1).any() and (moduli < 1).any())
