"""What counts cases counts what they decide: a property that says nothing of its cases fails."""

import pytest
from hypothesis import strategies as st

from tests.theory import cases as counting


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch):
    monkeypatch.setattr(counting, "done", counting.done)
    monkeypatch.setattr(counting, "PLANNED", {})


@pytest.mark.parametrize(("share", "passes"), [(0.0, False), (0.4, False), (0.9, True), (1.0, True)])
def test_too_few_decided_fail(share, passes):
    seen = []

    @counting.cases(20, decides=0.8, x=st.integers(0, 10**6))
    def one(x):
        seen.append(x)
        return (len(seen) % 10) < 10 * share

    if passes:
        one()
    else:
        with pytest.raises(AssertionError, match=r"decided \d+ of \d+"):
            one()
    assert seen


def test_what_decides_says_so():
    @counting.cases(2, decides=0.5, x=st.booleans())
    def silent(x):
        pass

    with pytest.raises(AssertionError, match="a test returns whether it decided"):
        silent()
