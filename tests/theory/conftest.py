"""The property suite: a mutant is put in place where one is asked for, and drawn cases are counted."""

import os

import pytest

from tests.theory import cases

if os.environ.get("DYNLOOP_MUTANT"):
    from tests.mutants import named

    named.apply(os.environ["DYNLOOP_MUTANT"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before = cases.done
    try:
        return (yield)
    finally:
        item.user_properties.append(("drawn cases", cases.done - before))  # travels to the controller of xdist
