"""What exponents cost beside a forward pass, beside dense QR, and beside the best Python peer: ratios in one run.

`make bench` prints them; docs/performance.md quotes them.
"""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.calculus.tangent import orthonormal, random_frames
from tests.benchmarks.timing import ratio, report


def block(layers=4, width=256, tokens=32, **kwargs):
    return dl.synthetic.looped_transformer(layers=layers, width=width, tokens=tokens, **kwargs)


def passes(m, count, loops):
    """Iterate a batch of `count` states in a bare torch loop."""
    x = m.start(0, count)

    def work():
        with torch.no_grad():
            y = x
            for _ in range(loops):
                for layer in m.layers:
                    y = layer(y)

    return work


def within(m, k):
    """Carry k tangents in every token at once; ``within(m, k)(loops)`` is the work. It is tried out beforehand."""
    rng = np.random.default_rng(0)
    x, own = m.start(0), m.within_tokens(m.start(0), rng)
    drawn = orthonormal(rng.standard_normal((m.state_shape[0], k, m.state_shape[1]))).swapaxes(0, 1)
    return lambda loops: lambda: own.stretch(x, m.native(drawn)[None], loops)


def test_sixteen_exponents_of_a_wide_block(benchmark):
    """16 exponents a loop, QR included, beside a forward pass over 17 states; wanted ≤ 1.3."""
    m, loops = block(), 20
    x, V = m.start(0), random_frames(m, 1, 16, np.random.default_rng(0))
    found = ratio(lambda: m.stretch(x, V, loops), passes(m, 17, loops))
    report(
        benchmark, "16 exponents of 32 tokens × 256, a loop", found, beside="a forward pass over 17 states", most=1.3
    )
    whole = ratio(lambda: dl.lyapunov_spectrum(m, x[0], k=16, loops=100, transient=20), passes(m, 17, 120), rounds=1)
    report(benchmark, "lyapunov_spectrum(k=16)", whole, beside="as many forward passes over 17 states")
    benchmark.pedantic(m.stretch, (x, V, 2), rounds=1)


@pytest.mark.parametrize(("tokens", "width"), [(12, 64), (32, 64), (32, 256)])
def test_the_leading_exponent_of_every_token(benchmark, tokens, width):
    """One own-token tangent in all tokens at once, beside a forward pass; wanted ≤ 2.5."""
    m, loops = block(width=width, tokens=tokens), 100
    run = within(m, 1)
    found = ratio(run(loops), passes(m, 1, loops))
    report(benchmark, f"λ₁ of all of {tokens} tokens × {width}, a loop", found, beside="a forward pass", most=2.5)
    benchmark.pedantic(run(2), rounds=1)


@pytest.mark.parametrize(("tokens", "wanted"), [(12, 12), (32, 35)])
def test_the_full_spectrum_by_tokens(benchmark, tokens, wanted):
    """The union of the tokens' cocycles beside dense QR on tokens × width."""
    m, loops = block(width=64, tokens=tokens), 3
    x, run = m.start(0), within(m, 64)
    V = random_frames(m, 1, m.dimension, np.random.default_rng(0))
    found = ratio(lambda: m.stretch(x, V, loops), run(loops))
    report(benchmark, f"dense QR, {tokens} tokens × 64", found, beside="the union over tokens", least=wanted)
    benchmark.pedantic(run(2), rounds=1)


def test_the_cost_by_tokens_grows_linearly(benchmark):
    made = {tokens: within(block(width=64, tokens=tokens), 64)(3) for tokens in (16, 64)}
    found = ratio(made[64], made[16])
    report(benchmark, "full spectrum of 64 tokens × 64", found, beside="of 16 tokens; linear would be 4")
    benchmark.pedantic(made[16], rounds=1)


def test_the_tanh_network_beside_pynamicalsys(benchmark):
    """N = 256, k = 8, 1000 steps; wanted ≤ 0.5 of the peer's time."""
    peer = pytest.importorskip("pynamicalsys", reason="the peer is not installed; `pip install pynamicalsys`")
    numba = pytest.importorskip("numba")
    N, k, loops = 256, 8, 1000
    m = dl.zoo.tanh_network(N, g=3.0)
    J = np.ascontiguousarray(m.params[1:].reshape(N, N))

    @numba.njit
    def mapping(x, parameters):
        return np.dot(J, np.tanh(x))

    @numba.njit
    def jacobian(x, parameters, mapping):
        return J * (1 - np.tanh(x) ** 2)

    system = peer.DiscreteDynamicalSystem(
        mapping=mapping, jacobian=jacobian, system_dimension=N, number_of_parameters=1
    )
    x = m.start(0)[0]
    settings = {"parameters": [0.0], "num_exponents": k}
    ours = lambda: dl.lyapunov_spectrum(m, x, k=k, loops=loops, transient=0)
    theirs = lambda: system.lyapunov(x, loops, **settings)
    np.testing.assert_allclose(ours().exponents[0], np.ravel(theirs())[0], atol=0.05)
    report(benchmark, "8 exponents of 256 tanh units, 1000 loops", ratio(ours, theirs), beside="pynamicalsys", most=0.5)
    benchmark.pedantic(ours, rounds=1)
