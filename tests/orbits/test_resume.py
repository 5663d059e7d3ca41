"""Classification that goes on where it stopped: the same verdicts as with the whole budget at once."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError

SLOW = dl.TorchMap([lambda x: 0.999 * x + 1e-3], (1,), name="slow")
CUBIC = dl.TorchMap([lambda x: x - 1e-3 * x**3], (1,), name="slow")  # no linear part that would be solved ahead of
STARTS = {
    "logistic near a flip": (lambda: dl.zoo.logistic(2.98), [[0.3], [0.9], [0.0]]),
    "Hénon": (lambda: dl.zoo.henon(), [[0.1, 0.1], [9.0, 9.0]]),
    "slow": (lambda: SLOW, [[0.0], [1.0]]),
    "square, slowly": (lambda: dl.zoo.ring(), None),
}


def same(a, b):
    np.testing.assert_array_equal(a.regime, b.regime)
    np.testing.assert_array_equal(a.period, b.period)
    np.testing.assert_allclose(a.rate, b.rate, rtol=1e-9)
    assert a.settings == b.settings


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("first", [32, 40, 100])
def test_as_with_the_whole_budget_at_once(name, first):
    make, starts = STARTS[name]
    m = make()
    whole = dl.classify(m, starts, loops=2048)
    parts = dl.classify(m, resume=dl.classify(m, starts, loops=first), loops=2048)
    same(whole, parts)
    late = parts.evidence.loops > first
    if first == 32:  # a window ends there: the same windows were seen
        np.testing.assert_array_equal(whole.evidence.loops[late], parts.evidence.loops[late])
        np.testing.assert_allclose(np.asarray(whole.states)[late], np.asarray(parts.states)[late], rtol=1e-12)


def test_in_many_small_steps():
    m, x = dl.zoo.logistic(2.98), [[0.3], [0.7]]
    found = dl.classify(m, x, loops=32)
    for loops in (50, 200, 777, 2048):
        found = dl.classify(m, resume=found, loops=loops)
    same(found, dl.classify(m, x, loops=2048))
    assert found.unfinished is None


def test_decided_lines_stay():
    m = dl.zoo.logistic(2.98)
    first = dl.classify(m, [[0.0], [0.3]], loops=32)
    assert [r.name for r in first.regime] == ["UNDECIDED", "UNDECIDED"]  # 0 is unstable: more loops do not help there
    assert first.unfinished.starts.tolist() == [1]
    later = dl.classify(m, resume=first)
    assert later.settings["loops"] == 128
    assert later.reason[0] == first.reason[0]
    assert later.evidence.loops[0] == first.evidence.loops[0]


def test_a_token_at_rest_goes_on_with_one_that_is_not():
    pieces = [lambda x: torch.stack([0.5 * x[:, 0] + 1, 0.999 * x[:, 1] + 1e-3], dim=1)]
    m = dl.TorchMap(pieces, (2, 1), causal=True)
    first = dl.classify(m, [[0.0], [0.0]], loops=256)
    assert [r.name for r in first.regime] == ["VANISHING", "UNDECIDED"]
    later = dl.classify(m, resume=first, loops=65536)
    assert [r.name for r in later.regime] == ["VANISHING", "VANISHING"]
    assert later.rate[1] == pytest.approx(0.999, abs=1e-12)


def test_a_result_on_disk_goes_on(tmp_path):
    m, x = dl.zoo.logistic(2.98), [[0.3], [0.7]]
    kept = dl.load(dl.classify(m, x, loops=64).save(tmp_path / "first"))
    same(dl.classify(m, resume=kept, loops=2048), dl.classify(m, x, loops=2048))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_low_precision_goes_on_in_its_twin(dtype):
    m = dl.synthetic.looped_transformer(
        norm="pre", injection="concat", layers=2, width=8, heads=2, tokens=3, gain=2.0, dtype=dtype, seed=3
    )
    first = dl.classify(m, loops=24)
    assert first.unfinished is not None
    assert first.unfinished.dtype == "float64"
    later, whole = dl.classify(m, resume=first, loops=1024), dl.classify(m, loops=1024)
    np.testing.assert_array_equal(later.regime, whole.regime)
    assert later.states.dtype is dtype
    assert all("said of the float64 twin" in reason for reason in later.reason.ravel())


def test_memory_does_not_grow_with_loops():
    m = dl.zoo.logistic(3.569945671870944)
    sizes = [
        sum(a.size for name, a in dl.classify(m, [[0.3]], loops=loops).unfinished.memory.items() if a.ndim < 3)
        for loops in (64, 4096)
    ]
    assert sizes[0] == sizes[1]


def test_nothing_is_left_where_all_is_decided():
    found = dl.classify(dl.zoo.logistic(3.2), [[0.3]])
    assert found.unfinished is None
    again = dl.classify(dl.zoo.logistic(3.2), resume=found, loops=8192)
    assert again.reason[0] == found.reason[0]
    assert again.settings["loops"] == 8192


@pytest.fixture(scope="module")
def unfinished():
    return dl.classify(CUBIC, [[1.0]], loops=64)


def test_another_map_is_refused(unfinished):
    other = dl.TorchMap([lambda x: x - 2e-3 * x**3], (1,), name="slow")
    with pytest.raises(InvalidArgumentError, match=r"resume was made with another map: slow sends .* elsewhere"):
        dl.classify(other, resume=unfinished)
    broken = dl.TorchMap([lambda x: x * float("nan")], (1,), name="slow")
    with pytest.raises(InvalidArgumentError, match="another map"):
        dl.classify(broken, resume=unfinished)
    with pytest.raises(InvalidArgumentError, match=r"another map: its map is 'slow', that of the map 'logistic"):
        dl.classify(dl.zoo.logistic(3.2), resume=unfinished)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"loops": 64}, r"loops is the budget in total, and resume has spent 64 of them; got 64"),
        ({"loops": 1.5}, r"got 1.5"),
        ({"starts": [[0.0]]}, "starts and resume were both given"),
        ({"polish": "never"}, r"resume was made with polish='auto'; got 'never'"),
        ({"resume": "found.npz"}, "resume must be a Classification; got str"),
    ],
)
def test_bad_input(unfinished, options, error):
    with pytest.raises(InvalidArgumentError, match=error):
        dl.classify(CUBIC, **{"resume": unfinished} | options)


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_the_loops_that_would_decide_are_enough(limit):
    """Geometric decay foretells when it is at the floor, also of the largest norm where the limit is the origin."""

    def towards(x):
        y = x - limit
        return limit + 0.99 * y + 0.01 * torch.roll(y, 1) * y * y

    m = dl.TorchMap([towards], (2,), name="slow in two")
    first = dl.classify(m, [[0.3, 0.1]], loops=512, polish="never")
    more = first.evidence.loops_to_decide[0]
    assert "more reach the floor" in first.reason[0]
    needed = (2 if limit == 0 else 1) * np.log(1e-15) / np.log(0.99) - 512
    assert 0.6 * needed < more < 1.2 * needed
    later = dl.classify(m, resume=first, loops=512 + int(1.2 * more), polish="never")
    assert "to the floor of" in later.reason[0]
