"""Slips with layers, sections and loops."""

from dataclasses import replace

import torch

from dynloop import nn
from dynloop.maps.base import LoopMap
from dynloop.maps.kernel import KernelMap
from dynloop.maps.synthetic import LoopedTransformer
from dynloop.maps.torch import TorchMap
from tests.mutants.patching import Mutant


def drop_layer(*names):
    def wrap(right):
        def layers_for(self, e, granularity="layer"):
            return {k: f for k, f in right(self, e, granularity).items() if k not in names}

        return layers_for

    return lambda patch: patch.method(LoopedTransformer, "layers_for", wrap)


def shift_sections(patch):
    def wrap(right):
        def sections(self, states):
            found = right(self, states)
            return self.stack([*list(found)[1:], found[-1]])

        return sections

    patch.method(LoopMap, "sections", wrap)


def forget_in_rotate(patch):
    def wrap(right):
        def rotate(self, l):
            turned = right(self, l)
            layers = [*turned.layers[:-1], lambda x: x]
            return turned if turned is self else turned._with(layers, turned.layer_names, turned.name)

        return rotate

    patch.method(TorchMap, "rotate", wrap)


def rotate_one_further(patch):
    for kind in (TorchMap, KernelMap):
        patch.method(kind, "rotate", lambda right: lambda self, l: right(self, l + 1 if l else 0))


def one_loop_more(patch):
    for kind in (TorchMap, KernelMap):
        patch.method(kind, "power", lambda right: lambda self, p: right(self, p + 1 if p > 1 else p))


def backwards(patch):
    def loop(self, states):
        for l in reversed(range(len(self.layers))):
            states = self.layer(l, states)
        return states

    patch.attribute(TorchMap, "loop", loop)


def without_first_increment(patch):
    def wrap(right):
        def polygon(*args, **kwargs):
            found = right(*args, **kwargs)
            rest = found.increments[:, 1:]
            return replace(found, increments=rest, perimeter=rest.sum(axis=1))

        return polygon

    patch.function("dynloop.orbits.polygon", "polygon", wrap)


def closure_undivided(patch):
    def wrap(right):
        def polygon(*args, **kwargs):
            found = right(*args, **kwargs)
            return replace(found, closure=found.closure * found.perimeter)

        return polygon

    patch.function("dynloop.orbits.polygon", "polygon", wrap)


def first_state_lost(patch):
    def wrap(right):
        def trajectory(m, starts, loops, **options):
            found = right(m, starts, loops, **options)
            return replace(found, states=found.states[1:], times=found.times[1:])

        return trajectory

    patch.function("dynloop.orbits.trajectory", "trajectory", wrap)


class _Functional:
    """torch.nn.functional with another attention."""

    def __init__(self, **options):
        self.options = options

    def __getattr__(self, name):
        return getattr(torch.nn.functional, name)

    def scaled_dot_product_attention(self, q, k, v, **kwargs):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, **(kwargs | self.options))


def attention(**options):
    return lambda patch: patch.attribute(nn, "functional", _Functional(**options))


def keep_the_mean(patch):
    def forward(self, x):
        y = torch.nn.functional.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.eps)
        return y if self.bias is None else y + self.bias.to(x.dtype)

    patch.attribute(nn.LayerNorm, "forward", forward)


MUTANTS = {
    "adapter-dropped": Mutant("a block lacks its injection", "telescoping", drop_layer("adapter", "inject")),
    "closing-norm-dropped": Mutant("Ouro's loop lacks the norm that closes it", "norms", drop_layer("norm")),
    "sections-shifted": Mutant("sections begin after the first layer", "telescoping", shift_sections),
    "rotate-forgets-a-layer": Mutant("a cyclic permutation lacks its last layer", "rotation", forget_in_rotate),
    "rotate-one-further": Mutant("a cyclic permutation starts one layer late", "rotation", rotate_one_further),
    "power-off-by-one": Mutant("F^p is F^(p+1)", "telescoping", one_loop_more),
    "layers-backwards": Mutant("hot loops apply the layers last to first", "derivatives", backwards),
    "increments-without-injection": Mutant("the polygon lacks the increment of the first layer", "limits", (
        without_first_increment)),
    "closure-undivided": Mutant("closure is not divided by the perimeter", "limits", closure_undivided),
    "first-state-lost": Mutant("a trajectory begins after its first loop", "telescoping", first_state_lost),
    "attention-unscaled": Mutant("scores are not divided by √d", "attention", attention(scale=1.0)),
    "causal-mask-dropped": Mutant("causal attention looks at later tokens", "causal", attention(is_causal=False)),
    "layer-norm-keeps-the-mean": Mutant("LayerNorm divides but does not centre", "norms", keep_the_mean),
}  # fmt: skip
