"""Recorded trajectories: which states, at which loops, with which sections."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.trajectory import stream


def logistic(x, loops, r=3.7):
    out = [x]
    for _ in range(loops):
        out.append(r * out[-1] * (1 - out[-1]))
    return np.array(out)


@settings(max_examples=30, deadline=None)
@given(loops=st.integers(1, 40), transient=st.integers(0, 20), every=st.integers(1, 7))
def test_the_record_is_every_state_asked_for(loops, transient, every):
    found = dl.trajectory(dl.zoo.logistic(3.7), [[0.3]], loops, transient=transient, every=every)
    whole = logistic(0.3, transient + loops)
    np.testing.assert_array_equal(found.times, transient + np.arange(0, loops + 1, every))
    np.testing.assert_allclose(found.states[:, 0, 0], whole[found.times], atol=1e-6)
    assert len(found.states) == loops // every + 1


def test_sections_begin_at_the_state_and_end_at_the_next():
    m = dl.TorchMap([lambda x: 2 * x, lambda x: torch.sin(x)], (3,))
    found = dl.trajectory(m, torch.ones(2, 3, dtype=torch.float64), 5, sections=True)
    assert found.sections.shape == (6, 3, 2, 3)
    assert torch.equal(found.sections[:, 0], found.states)
    assert torch.equal(found.sections[:-1, -1], found.states[1:])
    assert torch.equal(found.sections[:, 1], 2 * found.states)


def test_a_single_start_has_no_batch_axis():
    found = dl.trajectory(dl.zoo.henon(), [0.1, 0.1], 4)
    assert found.states.shape == (5, 2)


def test_the_record_keeps_no_graph():
    weight = torch.nn.Parameter(torch.tensor(0.5))
    m = dl.TorchMap([lambda x: weight * x], (1,))
    assert not dl.trajectory(m, torch.ones(1, 1), 3, sections=True).sections.requires_grad


def test_a_stream_goes_on_without_memory():
    m = dl.TorchMap([lambda x: 0.5 * x], (2,))
    for done, states in stream(m, torch.ones(1, 2, dtype=torch.float64), every=10):
        if done == 50:
            assert torch.allclose(states, torch.tensor(0.5**50, dtype=torch.float64))
            break


@pytest.mark.parametrize(
    "options", [{"loops": 0}, {"loops": 2.5}, {"loops": 3, "transient": -1}, {"loops": 3, "every": 0}]
)
def test_numbers_of_loops_out_of_range_are_refused(options):
    with pytest.raises(dl.errors.InvalidArgumentError, match=r"must be (a positive int|an int of at least)"):
        dl.trajectory(dl.zoo.henon(), [[0.1, 0.1]], **options)


def test_progress_is_told():
    calls = []
    dl.trajectory(dl.zoo.henon(), [0.1, 0.1], 4, progress=lambda done, whole: calls.append((done, whole)))
    assert calls == [(i, 4) for i in range(5)]
