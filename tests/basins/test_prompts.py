import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, PromptError


def wells(tilt):
    """x ← x + 0.25 (x − x³ + tilt): two sinks if |tilt| < 0.385, one beyond."""

    starts = lambda rng, n: np.linspace(-1.5, 1.5, n)[:, None]
    return dl.TorchMap([lambda x: x + 0.25 * (x - x**3 + tilt)], (1,), start=starts)


def test_shares_of_maps_with_one_and_two_sinks():
    found = dl.path_independence_of_prompts(None, [wells(t) for t in (0.0, 0.5, -0.5, 0.6)], starts=6)
    assert found.verdicts == ("path dependent", *["path independent"] * 3)
    assert (found.independent, found.dependent, found.undecided) == (0.75, 0.25, 0.0)
    assert found.biggest.tolist() == [0.5, 1, 1, 1]
    assert found.interval[0] < 0.75 < found.interval[1]
    assert found.standard_error == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_chaos_is_undecided_and_counts_for_no_limit():
    found = dl.path_independence_of_prompts(None, [dl.zoo.logistic(4.0)], starts=3)
    assert (found.independent, found.undecided) == (0, 1)
    assert found.biggest.tolist() == [0]
    assert found.standard_error > 0


def test_a_checkpoint_and_prompts():
    found = dl.path_independence_of_prompts("demo:hop-injected", [[1, 2, 3], [4, 5]], starts=2, loops=256)
    assert len(found.results) == 2
    assert found.independent + found.dependent + found.undecided == 1


def test_errors():
    with pytest.raises(InvalidArgumentError, match="at least one"):
        dl.path_independence_of_prompts("demo:hop-injected", [])
    with pytest.raises(InvalidArgumentError, match="starts must be an int of at least 2"):
        dl.path_independence_of_prompts(None, [wells(0.0)], starts=1)
    with pytest.raises(PromptError, match=r"prompts\[1\]"):
        dl.path_independence_of_prompts("demo:hop-injected", [[1, 2], [10**6]])
