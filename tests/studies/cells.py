"""Cells that cost nothing, fail, hang or die, as the tests want them."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def square(x, y=0):
    return {"value": x * x + y, "third": x / 3, "name": f"<script>{x}</script>", "array": np.arange(4) * x}


def slow(x, seconds=0.01):
    time.sleep(seconds)
    return {"value": x * x, "third": x / 3}


def noted(x, folder, seconds=0.0):
    """Leave a line in a file for every time that it is called."""
    with open(Path(folder) / "calls", "a", encoding="utf-8") as file:
        file.write(f"{x}\n")
    time.sleep(seconds)
    return {"value": x * x, "array": np.full(50, x / 7)}


def failing(x):
    if x % 2:
        raise ValueError(f"odd\n{x}")
    return {"value": x}


def flaky(x, folder):
    path = Path(folder) / f"tried-{x}"
    if not path.exists():
        path.touch()
        raise OSError("not yet")
    return {"value": x}


def hangs(x):
    while x == 1:
        time.sleep(0.01)
    return {"value": x}


def dies(x, folder, times=1):
    """Kill its own process the first so many times."""
    if x == 1:
        count = len(list(Path(folder).glob("died-*")))
        if count < times:
            (Path(folder) / f"died-{count}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return {"value": x}


def threads(x):
    import torch

    return {"value": torch.get_num_threads()}


def odd_return(x):
    return {"value": {1, 2}} if x else [1]


def changes_input(path):
    Path(path).write_text(Path(path).read_text() + "more")
    return {"value": 1}


def deaf(x):
    """One cell waits inside compiled code that no signal ends."""
    if x == 1:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(600)
    return {"value": x}


def a_record(a):
    import dynloop as dl

    return dl.classify(dl.zoo.henon(a=a), [0.1, 0.1], loops=64)


def mixed(x, name, scale):
    if x == 2 and name == "a":
        raise ValueError("none here")
    return {"value": x * scale, "whole": 2**40 + x, "flag": x > 0, "text": f"<script>{name}</script>", "x": -x}


def anything(**given):
    """Return names that clash with those of parameters and of columns."""
    return {"x": "x", "result.x": "r", "y": "y", "state": "s"}


class SilentError(Exception):
    def __str__(self):
        raise ValueError("no")


def silent(x):
    raise SilentError


def leaves(x):
    raise SystemExit(3)
