"""T2: where an orbit converges, so does every section; the limits are fixed, and the increments there close."""

import numpy as np
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.polygon import polygon
from dynloop.testing import strategies
from tests.theory.cases import cases


@cases(65, row=strategies.contractions(max_q=0.8))
def test_sections_converge_to_a_closed_polygon(row):
    m = row.map
    found = dl.trajectory(m, row.starts, 8, transient=150, sections=True)
    sections = m.numpy(found.sections)  # (records, k + 1, batch, n)
    limit = sections[-1]
    scale = 1 + np.abs(limit).max()
    np.testing.assert_allclose(sections, np.broadcast_to(limit, sections.shape), rtol=0, atol=1e-11 * scale)
    np.testing.assert_allclose(m.numpy(m(m.native(limit[0]))), limit[0], rtol=0, atol=1e-12 * scale)
    closing = np.diff(limit, axis=0).sum(axis=0)
    np.testing.assert_allclose(closing, 0, rtol=0, atol=1e-11 * scale)
    np.testing.assert_allclose(limit[0], limit[0][:1].repeat(len(limit[0]), axis=0), rtol=0, atol=1e-11 * scale)


@cases(555, row=strategies.affine_cycles(max_rate=0.9))
def test_the_polygon_at_an_exact_limit_is_closed_and_has_the_exact_sides(row):
    m, exact = row.map, row.sections
    sides = np.linalg.norm(np.diff(exact, axis=0), axis=1)
    size = np.linalg.norm(exact, axis=1).max() or 1.0
    found = polygon(m, m.native(exact[:1]), joint=True, largest=float(np.linalg.norm(row.starts[0])))
    np.testing.assert_allclose(found.increments[0], sides / size, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.perimeter[0], sides.sum() / size, rtol=1e-9, atol=1e-9)
    assert found.closure[0] * sides.sum() <= 1e-9 * size
    points = exact[:-1]
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
    np.testing.assert_allclose(found.section_distance[0], min(gaps, default=0.0) / size, rtol=1e-9, atol=1e-9)


@cases(465, row=strategies.layered_maps(), scale=st.integers(-3, 3))
def test_the_polygon_of_any_point_misses_closure_by_the_step(row, scale):
    """Nowhere near a fixed point: closure · perimeter is the length of the step, whatever the unit of length."""
    m = row.map
    x = 10.0**scale * row.starts[:1]
    sections = m.numpy(m.sections(m.native(x)))[:, 0]
    sides = np.linalg.norm(np.diff(sections, axis=0), axis=1)
    size = np.linalg.norm(sections, axis=1).max()
    found = polygon(m, m.native(x), joint=True)
    assert len(found.increments[0]) == m.layer_count
    np.testing.assert_allclose(found.increments[0], sides / size, rtol=1e-9, atol=1e-12)
    step = np.linalg.norm(sections[-1] - sections[0]) / size
    np.testing.assert_allclose(found.closure[0] * found.perimeter[0], step, rtol=1e-9, atol=1e-12)
    assert 0 <= found.closure[0] <= 1 + 1e-12


@cases(185, row=strategies.blocks(granularity="sublayer"))
def test_polygons_of_tokens_are_measured_one_by_one(row):
    m = row.map
    sections = m.numpy(m.sections(m.native(row.starts[:1])))[:, 0]
    sides = np.linalg.norm(np.diff(sections, axis=0), axis=2)  # (k, tokens)
    size = np.linalg.norm(sections, axis=2).max(axis=0)
    found = polygon(m, m.native(row.starts[:1]), joint=False)
    np.testing.assert_allclose(found.increments, (sides / size).T, rtol=1e-9, atol=1e-12)
    step = np.linalg.norm(sections[-1] - sections[0], axis=1)
    np.testing.assert_allclose(found.closure * found.perimeter * size, step, rtol=1e-9, atol=1e-12)


@cases(50, decides=0.9, row=strategies.affine_cycles(max_rate=0.8))
def test_the_classifier_finds_the_exact_limit_rate_and_polygon(row):
    found = dl.classify(row.map, row.start)
    exact = row.sections
    size = np.linalg.norm(exact, axis=1).max()
    sides = np.linalg.norm(np.diff(exact, axis=0), axis=1)
    if found.regime[()] is dl.Regime.UNDECIDED:
        return False
    expected = "CYCLIC" if sides.max() > 1e-9 * size else "VANISHING"
    assert found.regime[()].name == expected
    assert found.dichotomy[()] == expected.lower()
    assert found.period[()] == 1
    np.testing.assert_allclose(found.states, exact[0], rtol=0, atol=1e-8 * (1 + size))
    np.testing.assert_allclose(found.rate, row.rate, rtol=0, atol=1e-4)
    if size > 0:
        np.testing.assert_allclose(found.evidence.increments, sides / size, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found.evidence.perimeter, sides.sum() / size, rtol=1e-6, atol=1e-9)
    return True
