"""Slips with periods, stability and what a verdict is called."""

from dataclasses import replace

import numpy as np

from tests.mutants.patching import Mutant


def settled_late(patch):
    def wrap(right):
        def repeats(returns, tolerance):
            p = right(returns, tolerance)
            return p + 1 if p else 0

        return repeats

    patch.function("dynloop.calculus.settled", "_repeats", wrap)


def returns_late(patch):
    def wrap(right):
        def return_period(returns, tolerance):
            p = right(returns, tolerance)
            return p + 1 if p > 1 else p

        return return_period

    patch.function("dynloop.orbits.recurrence", "return_period", wrap)


def every_period_prime(patch):
    def wrap(right):
        return lambda system, orbits, errors: np.full(len(orbits), system.period)

    patch.function("dynloop.orbits.distinct", "prime_periods", wrap)


def no_divisors(patch):
    patch.function("dynloop.orbits.recurrence", "divides", lambda right: lambda p: [1] if p > 1 else [])


def findings(change):
    """Change what a solved cycle is told to be; `change(finding, p)`."""

    def wrap(right):
        def cycle(m, found, *args, **kwargs):
            told = right(m, found, *args, **kwargs)
            return told and [change(f, found.period) for f in told]

        return cycle

    return lambda patch: patch.function("dynloop.orbits.convergence", "_cycle", wrap)


def sides_swapped(patch):
    other = {"vanishing": "cyclic", "cyclic": "vanishing"}

    def wrap(right):
        return lambda kind, *args: right(other.get(kind, kind), *args)

    patch.function("dynloop.orbits.convergence", "named", wrap)


def inside_out(patch):
    other = {"sink": "source", "source": "sink"}

    def wrap(right):
        def stability(*args, **kwargs):
            kind = right(*args, **kwargs)
            return other.get(kind, kind)

        return stability

    patch.function("dynloop.orbits.stability", "stability", wrap)


def every_point_stable(patch):
    def wrap(right):
        return lambda kind, numbers, radius, **rest: right(kind, numbers, min(radius, 0.5), **rest)

    patch.function("dynloop.orbits.convergence", "_stable_point", wrap)


def every_line_a_ray(patch):
    def wrap(right):
        return lambda *args: [replace(ray, holds=True, velocity=np.ones_like(ray.velocity), cosine=np.ones_like(
            ray.cosine)) for ray in right(*args)]  # fmt: skip

    patch.function("dynloop.orbits.infinity", "rays", wrap)


def growth_is_divergence(patch):
    patch.function("dynloop.orbits.infinity", "grows_without_bound", lambda right: lambda *args, **kwargs: True)


def one_limit_for_all(patch):
    def wrap(right):
        def nearness(*args):
            nearest, which, near = right(*args)
            return nearest, which, np.ones_like(near)

        return nearness

    patch.function("dynloop.orbits.limits", "_nearness", wrap)


def small_steps_sum(patch):
    patch.function("dynloop.orbits.recurrence", "octave_law", lambda right: lambda lengths, tolerance=0.0: "summable")


MUTANTS = {
    "settled-period-off-by-one": Mutant("a settled orbit repeats itself a loop late", "periods", settled_late),
    "return-off-by-one": Mutant("returns are counted a loop late", "periods", returns_late),
    "period-off-by-one": Mutant("a cycle is told a loop too long", "periods", findings(
        lambda f, p: replace(f, period=f.period + 1) if f.period > 1 else f)),
    "prime-periods-dropped": Mutant("fixed points pass for cycles of two", "periods", every_period_prime),
    "divisors-dropped": Mutant("a token has the period of the whole state", "causal", no_divisors),
    "root-forgotten": Mutant("the rate of a cycle is per round, not per loop", "periods", findings(
        lambda f, p: replace(f, rate=f.rate**p))),
    "dichotomy-swapped": Mutant("vanishing is called cyclic", "dichotomy", sides_swapped),
    "stability-inside-out": Mutant("sinks are called sources", "contraction", inside_out),
    "every-point-stable": Mutant("unstable points are called limits", "stability", every_point_stable),
    "ray-without-far-test": Mutant("a window of steady growth is a ray", "rays", every_line_a_ray),
    "growth-is-divergence": Mutant("a window of growth is exponential growth", "rays", growth_is_divergence),
    "one-limit-for-all": Mutant("an orbit shares a limit that is far away", "periods", one_limit_for_all),
    "small-steps-sum": Mutant("steps that vanish are taken to sum", "summable", small_steps_sum),
}  # fmt: skip
