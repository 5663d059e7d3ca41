"""The least denominator of a fraction near a frequency."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dynloop.orbits.denominators import least_denominator


@settings(max_examples=30, deadline=None)
@given(f=st.floats(0.01, 0.49), error=st.sampled_from([1e-3, 1e-5, 1e-7]))
def test_the_least_denominator_is_the_first_that_fits(f, error):
    q = next(q for q in range(1, 10**6) if abs(round(f * q) / q - f) <= error)
    assert least_denominator(f, error) == q
