"""Compiled loops that outlive the process: what is found again, what is not, and that nobody gets another's code."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

numba = pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
import dynloop as dl
{lines}
m.stretch(m.native([[0.1] * m.dimension]), [[[1.0] * m.dimension]], 4)
found = m.stretch(m.native([[0.1] * m.dimension]), [[[1.0] * m.dimension]], 4)
print([float(x).hex() for x in found.logs.ravel()])
from dynloop.maps.compiled.loops import stretch_loop
kernel = stretch_loop(m._tangent_parts(), m.dimension, 1, masked=False).__closure__
[dispatcher] = [c.cell_contents for c in kernel if hasattr(c.cell_contents, "stats")]
print(sum(dispatcher.stats.cache_hits.values()))
"""


def run(lines, folder, cache):
    program = PROGRAM.format(folder=str(folder), lines=lines)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    numbers, hits = done.stdout.splitlines()
    return numbers, int(hits)


def zoo(name):
    return f"m = dl.zoo.{name}()"


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    first, hits = run(zoo("henon"), tmp_path, tmp_path / "cache")
    assert hits == 0
    second, hits = run(zoo("henon"), tmp_path, tmp_path / "cache")
    assert (second, hits) == (first, 1)


STEP = """
import numpy as np
FACTOR = {factor}
def helper(x):
    return {helper}
def step(x, params, out):
    out[0] = FACTOR * x[0] + {body} + 0.1 * np.sin(x[0])
"""


@pytest.mark.slow
def test_changed_code_is_compiled_anew(tmp_path):
    lines = "import numba; import mine; mine.helper = numba.njit(mine.helper); m = dl.KernelMap(mine.step, 1)"
    settings = {"factor": 0.5, "body": "helper(x[0])", "helper": "2 * x"}
    (tmp_path / "mine.py").write_text(STEP.format(**settings))
    before, _ = run(lines, tmp_path, tmp_path / "cache")
    assert run(lines, tmp_path, tmp_path / "cache") == (before, 1)
    for change in ({"factor": 0.7}, {"body": "0.2"}, {"helper": "x + 1"}):  # a global, the step, a function it calls
        (tmp_path / "mine.py").write_text(STEP.format(**(settings | change)))
        after, hits = run(lines, tmp_path, tmp_path / "cache")
        assert hits == 0, change
        assert after != before, change


@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_get_each_others_code(tmp_path):
    names = ["henon", "lozi", "cat"]
    with ThreadPoolExecutor(3) as pool:
        first = list(pool.map(lambda name: run(zoo(name), tmp_path, tmp_path / "cache"), names))
    again = [run(zoo(name), tmp_path, tmp_path / "cache") for name in names]
    assert [numbers for numbers, _ in first] == [numbers for numbers, _ in again]
    assert [hits for _, hits in again] == [1] * len(names)
    assert len({p.name for p in Path(tmp_path / "cache").rglob("*.nbi") if "stretch" in p.name}) == len(names)


def test_a_large_array_has_no_key_and_does_no_harm():
    import numpy as np

    from dynloop.maps.kernel import KernelMap

    large = np.full(2**18, 0.5)

    def step(x, params, out):
        out[0] = large[3] * x[0]

    assert KernelMap(step, 1)([[1.0]]) == [[0.5]]


@pytest.mark.slow
def test_what_has_no_key_is_not_kept(tmp_path):
    lines = """
class Settings: factor = 0.5
settings = Settings()
def step(x, params, out):
    out[0] = 0.5 * x[0]
m = dl.KernelMap(step, 1)"""  # stands in no file
    assert run(lines, tmp_path, tmp_path / "cache")[1] == 0
    assert run(lines, tmp_path, tmp_path / "cache")[1] == 0


TWO_STEPS = """
def fold(x, params, out):
    out[0] = x[0] + (x[0] - 1) ** 2
def parabola(x, params, out):
    out[0] = x[0] + x[0] * x[0]
"""
DERIVATIVES = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np, dynloop as dl, two
for name in {names!r}:
    m = dl.KernelMap(getattr(two, name), 1)
    print(float(m.push(np.array([[0.5]]), np.ones((1, 1, 1)))[1].ravel()[0]))
"""


@pytest.mark.slow
def test_code_of_two_processes_is_told_apart_in_a_third(tmp_path):
    (tmp_path / "two.py").write_text(TWO_STEPS)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def derivatives(*names):
        program = DERIVATIVES.format(folder=str(tmp_path), names=names)
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return [float(line) for line in done.stdout.split()]

    assert derivatives("fold") == [0.0]  # each is the first that its process compiles
    assert derivatives("parabola") == [2.0]
    assert derivatives("fold", "parabola", "fold") == [0.0, 2.0, 0.0]
    assert derivatives("parabola", "fold") == [2.0, 0.0]


FORKED = """
import os, sys
sys.path.insert(0, {folder!r})
import numpy as np, dynloop as dl, two
dl.KernelMap  # what compiles is imported here, before there are children
for name in {names!r}:
    if os.fork() == 0:
        dl.KernelMap(getattr(two, name), 1).push(np.array([[0.5]]), np.ones((1, 1, 1)))
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_code_of_two_forked_children_is_told_apart_in_a_third(tmp_path):
    """Children of one process, as a pool of workers makes them, go on from its numbers."""
    (tmp_path / "two.py").write_text(TWO_STEPS)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    program = FORKED.format(folder=str(tmp_path), names=("fold", "parabola"))
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    program = DERIVATIVES.format(folder=str(tmp_path), names=("fold", "parabola", "fold"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert [float(line) for line in done.stdout.split()] == [0.0, 2.0, 0.0]
