"""T1: what F does at a section, the cyclic permutation of its layers does from there; fixed points are carried on."""

import numpy as np
from hypothesis import strategies as st

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.testing import strategies
from tests.theory.cases import cases
from tests.theory.maps import kernels


def close(a, b, tolerance=1e-10):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * (1 + np.abs(b).max()))


def carried(m, states, l):
    """A loop from section l of F, against the sections of two loops of F: no hypothesis is needed."""
    x = m.native(states)
    sections, later = m.sections(x), m.sections(m(x))
    turned = m.rotate(l)
    assert turned.layer_names == m.layer_names[l:] + m.layer_names[:l]
    found = m.numpy(turned.sections(sections[l]))
    two = np.concatenate([m.numpy(sections)[l:-1], m.numpy(later)[: l + 1]])
    close(found, two)


@cases(695, row=strategies.layered_maps(), turn=st.integers(0, 3))
def test_the_permuted_loop_continues_the_orbit_from_its_section(row, turn):
    carried(row.map, row.starts, turn % row.map.layer_count)


@cases(280, m=kernels(), turn=st.integers(0, 2), seed=st.integers(0, 2**31))
def test_so_does_that_of_compiled_layers(m, turn, seed):
    carried(m, np.random.default_rng(seed).uniform(-1, 1, (3, m.dimension)), turn % m.layer_count)


@cases(115, row=strategies.blocks(), turn=st.integers(0, 5))
def test_so_does_that_of_a_block(row, turn):
    carried(row.map, row.starts, turn % row.map.layer_count)


@cases(230, row=strategies.layered_maps(), first=st.integers(0, 4), then=st.integers(0, 4))
def test_permutations_compose(row, first, then):
    m, x = row.map, row.map.native(row.starts)
    twice, once = m.rotate(first).rotate(then), m.rotate(first + then)
    assert twice.layer_names == once.layer_names
    np.testing.assert_array_equal(m.numpy(twice(x)), m.numpy(once(x)))
    assert m.rotate(m.layer_count).layer_names == m.layer_names


@cases(555, row=strategies.closed_loops(), turn=st.integers(0, 3))
def test_a_fixed_point_of_any_loop_is_one_of_every_permutation(row, turn):
    """Stable or not: the last layer of the drawn loop brings the start back."""
    m, l = row.map, turn % row.map.layer_count
    sections = m.sections(m.native(row.starts[:1]))
    at = m.numpy(sections)[:, 0]
    close(at[-1], at[0])
    back = m.numpy(m.rotate(l)(sections[l]))[0]
    np.testing.assert_allclose(back, at[l], rtol=0, atol=1e-10 * growth(m, at, l) * (1 + np.abs(at).max()))


def growth(m, at, l):
    """How much a loop from section l may amplify the rounding of its start."""
    return max(1.0, float(np.linalg.norm(dense_jacobian(m.rotate(l), at[l]))))


@cases(465, row=strategies.affine_cycles(max_rate=0.9))
def test_exact_sections_are_the_fixed_points_of_the_permutations(row):
    for l, exact in enumerate(row.sections[:-1]):
        m = row.map.rotate(l)
        close(m.numpy(m(m.native(exact[None])))[0], exact, 1e-9)
    close(row.sections[-1], row.sections[0], 1e-9)
