"""What inference metrics cost beside the forward passes they need; wanted ≤ 1.5.

`make bench` prints them; docs/inference.md quotes them.
"""

import pytest
import torch

import dynloop as dl
from tests.benchmarks.timing import ratio, report

SIZES = [(4, 128, 12), (4, 256, 32), (4, 512, 64)]


def block(layers, width, tokens):
    return dl.synthetic.looped_transformer(layers=layers, width=width, tokens=tokens, heads=4, dtype=torch.float32)


def passes(m, x, loops, read=None):
    def work():
        with torch.no_grad():
            y = x
            for _ in range(loops):
                for layer in m.layers:
                    y = layer(y)
                    if read is not None:
                        read(y)

    return work


@pytest.mark.parametrize(("layers", "width", "tokens"), SIZES)
@pytest.mark.parametrize("pairwise", [True, False])
def test_attention_over_loops(benchmark, layers, width, tokens, pairwise):
    m, loops = block(layers, width, tokens), 32
    x = m.start(0)
    found = ratio(lambda: dl.attention_stability(m, x, loops=loops, pairwise=pairwise), passes(m, x, loops))
    what = f"attention_stability({pairwise=}), {tokens} tokens × {width}"
    report(benchmark, what, found, beside="forward passes", most=1.5)
    benchmark.pedantic(lambda: dl.attention_stability(m, x, loops=2), rounds=1)


@pytest.mark.parametrize(("layers", "width", "tokens"), SIZES)
@pytest.mark.parametrize("lens", [True, False])
def test_stage_curves(benchmark, layers, width, tokens, lens):
    m, loops = block(layers, width, tokens), 16
    x = m.start(0)
    head = torch.randn(width, 1000, generator=torch.Generator().manual_seed(0)) if lens else None
    read = None if head is None else lambda y: y @ head
    found = ratio(lambda: dl.inference_stages(m, x, loops=loops, logits=read or False), passes(m, x, loops, read))
    what = f"inference_stages({lens=}), {tokens} tokens × {width}"
    report(benchmark, what, found, beside="forward passes", most=1.5)
    benchmark.pedantic(lambda: dl.inference_stages(m, x, loops=1), rounds=1)
