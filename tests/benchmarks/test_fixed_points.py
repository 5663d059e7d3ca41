"""What fixed points cost: loops beside plain iteration, seconds beside a forward pass, and the network of tanh units.

`make bench` prints them; docs/fixed_points.md quotes them.
"""

import pytest

import dynloop as dl
import dynloop.orbits.solvers.anderson as solver
from tests.benchmarks.timing import ratio, report


def plain_loops(m, start, most=3000):
    """Return the loops that plain iteration takes to a relative residual of 1e-12; `most` if it never gets there."""
    x = m.native(start)
    for loop in range(most):
        moved = m(x)
        if float((moved - x).norm() / x.norm()) <= 1e-12:
            return loop + 1
        x = moved
    return most


@pytest.mark.parametrize("gain", [1.0, 2.0, 3.5])
def test_loops_to_the_fixed_point_of_a_block(benchmark, monkeypatch, gain):
    """Residual 1e-12; wanted ≤ 1/5 of plain iteration where ρ ≥ 0.95."""
    m = dl.synthetic.looped_transformer(norm="pre", injection="concat", layers=4, width=64, tokens=12, gain=gain)
    start = m.numpy(m.start(0))
    monkeypatch.setattr(solver, "_AT_REST", 1e-12 / m.precision)
    found = dl.find_fixed_points(m, start)
    leading, plain = abs(found.multipliers[0, 0]), plain_loops(m, start)
    report(benchmark, f"leading multiplier of a block, gain {gain}", leading, unit="(modulus)")
    beside = f"{plain} loops of plain iteration"
    benchmark.pedantic(lambda: dl.find_fixed_points(m, start), rounds=1)
    with_blocks = solver.anderson(m, start)[2][0] / plain
    most = 0.2 if leading >= 0.95 else None
    report(benchmark, f"loops of Anderson with token blocks, gain {gain}", with_blocks, beside=beside, most=most)
    monkeypatch.setattr(solver, "blocks_worth", lambda _: False)
    report(benchmark, f"loops of Anderson alone, gain {gain}", solver.anderson(m, start)[2][0] / plain, beside=beside)


def test_a_block_beside_plain_iteration(benchmark):
    """All of `find_fixed_points`, multipliers included, beside plain iteration to the same residual."""
    m = dl.synthetic.looped_transformer(norm="pre", injection="concat", layers=4, width=64, tokens=12, gain=2.0)
    start = m.numpy(m.start(0))
    ours = lambda: dl.find_fixed_points(m, start)
    found = ratio(ours, lambda: plain_loops(m, start))
    report(benchmark, "find_fixed_points of a block", found, beside="plain iteration to the same residual")
    benchmark.pedantic(ours, rounds=1)


def test_the_network_of_tanh_units(benchmark):
    """N = 64, g = 1.5, 128 starts; wanted ≤ 1 s."""
    m = dl.zoo.tanh_network(64, 1.5)
    starts = m.start(0, 128)
    found = dl.find_fixed_points(m, starts)
    assert found.residual.max() <= 1e-12
    benchmark.pedantic(lambda: dl.find_fixed_points(m, starts), rounds=3)
    report(benchmark, "find_fixed_points, 64 tanh units, 128 starts", benchmark.stats["median"], unit="s", most=1)
