"""Slips with derivatives, eigenvalues, exponents and norms."""

from dataclasses import replace

import numpy as np
import torch

from dynloop.calculus.layer_growth import LayerGrowth
from dynloop.maps.base import LoopMap
from dynloop.maps.kernel import KernelMap
from dynloop.maps.torch import TorchMap
from tests.mutants.patching import Mutant


def transpose_jacobian(patch):
    def wrap(right):
        def jacobians(m, states):
            new, J = right(m, states)
            return new, J.swapaxes(1, 2)

        return jacobians

    patch.function("dynloop.calculus.jacobian", "jacobians", wrap)


def transpose_token_blocks(patch):
    def wrap(right):
        return lambda apply, state_shape: right(apply, state_shape).swapaxes(1, 2)

    patch.function("dynloop.calculus.jacobian", "token_blocks", wrap)


def pull_pushes(patch):
    for kind in (TorchMap, KernelMap):
        patch.attribute(kind, "pull", kind.push)


def by_real_part(patch):
    patch.function("dynloop.calculus.eigenvalues", "largest_first", lambda right: lambda values: np.argsort(
        -values.real, kind="stable"))  # fmt: skip


def only_one_loop(patch):
    def wrap(right):
        return lambda m, states, period, **known: right(m, states, 1, **known)

    patch.function("dynloop.calculus.cycle", "cycle_multipliers", wrap)


def logarithms(change):
    def wrap(right):
        def changed(size, errors, period):
            found = right(size, errors, period)
            return replace(found, exponents=change(found.exponents, period))

        return changed

    return lambda patch: patch.function("dynloop.calculus.settled", "_logarithms", wrap)


def qr_without_modulus(patch):
    def wrap(right):
        def factor(frames, lengths):
            columns = frames.permute(1, 2, 0)
            Q, R = torch.linalg.qr(columns)
            frames.copy_(Q.permute(2, 0, 1))
            return R.diagonal(dim1=-2, dim2=-1)

        return factor

    patch.function("dynloop.maps.frames", "_factor", wrap)


def no_rank_tolerance(patch):
    def wrap(right):
        return lambda frames, tolerance, mask=None: right(frames, -1.0, mask)

    patch.function("dynloop.maps.frames", "orthonormalise", wrap)


def no_normalising(patch):
    """The frame is orthogonal, but keeps its lengths."""

    def wrap(right):
        def orthonormalise(frames, tolerance, mask=None):
            frames, logs = right(frames, tolerance, mask)
            return frames * torch.exp(logs.nan_to_num(neginf=0.0)).mT[..., None].to(frames), logs

        return orthonormalise

    patch.function("dynloop.maps.frames", "orthonormalise", wrap)


def forget_last_part(patch):
    def wrap(right):
        def init(self, m):
            right(self, m)
            self.parts = self.parts[:-1] or self.parts

        return init

    patch.method(LayerGrowth, "__init__", wrap)


def angles_unwrapped(patch):
    patch.attribute(LoopMap, "displacement", lambda self, a, b: np.subtract(a, b, dtype=np.float64))


def floor_ignored(patch):
    patch.function("dynloop.orbits.floor", "precision_floor", lambda right: lambda m, states: 0.0 * right(m, states))


def steps_absolute(patch):
    def wrap(right):
        def read(m, window, *args):
            return replace(right(m, window, *args), step=window.steps[-1])

        return read

    patch.function("dynloop.orbits.survey", "_read", wrap)


def path_relative(patch):
    def wrap(right):
        def read(m, window, *args):
            return replace(right(m, window, *args), path=(window.steps / window.norms).sum(axis=0))

        return read

    patch.function("dynloop.orbits.survey", "_read", wrap)


MUTANTS = {
    "jacobian-transposed": Mutant("rows of DF are inputs", "derivatives", transpose_jacobian),
    "token-blocks-transposed": Mutant("rows of ∂F_i/∂x_i are inputs", "causal", transpose_token_blocks),
    "pull-pushes": Mutant("Jᵀw is Jw", "derivatives", pull_pushes),
    "radius-by-real-part": Mutant("the leading multiplier is that of largest real part", "multipliers", by_real_part),
    "multipliers-of-one-loop": Mutant("multipliers of a cycle are those of DF", "multipliers", only_one_loop),
    "log-sign": Mutant("exponents at a limit have the wrong sign", "stability", logarithms(lambda x, _: -x)),
    "log-base-two": Mutant("exponents at a limit are in bits", "stability", logarithms(lambda x, _: x / np.log(2))),
    "exponents-per-round": Mutant("exponents of a cycle are per round, not per loop", "stability", logarithms(
        lambda x, p: x * p)),
    "qr-without-modulus": Mutant("log R_jj of a negative R_jj", "stability", qr_without_modulus),
    "rank-tolerance-dropped": Mutant("rounding counts as a stretch", "norms", no_rank_tolerance),
    "frame-not-normalised": Mutant("tangents keep their lengths between decompositions", "stability", no_normalising),
    "layer-share-forgotten": Mutant("growth by layer lacks the last layer", "stability", forget_last_part),
    "angles-unwrapped": Mutant("displacements do not wrap angles", "invariance", angles_unwrapped),
    "floor-ignored": Mutant("the precision floor is 0", "rounding", floor_ignored),
    "absolute-for-relative": Mutant("relative steps are absolute", "summable", steps_absolute),
    "relative-for-absolute": Mutant("path lengths are relative", "summable", path_relative),
}  # fmt: skip
