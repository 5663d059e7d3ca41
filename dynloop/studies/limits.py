"""The limits that a cell runs within: a time, and one thread."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["CellTimeout", "one_thread", "time_limit"]

_THREADS = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"
_lock = threading.Lock()
_inside = 0
_before: tuple[int | None, dict[str, str | None]] = (None, {})


class CellTimeout(BaseException):
    """A cell has used up its time; no `Exception`, so that code which catches those does not swallow it."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `CellTimeout` in what runs inside after so many seconds.

    Notes
    -----
    In a main thread an alarm interrupts it, waiting included; the handler and timer there were are put back. In another
    thread, such as those of a Dask worker, the exception is planted by the interpreter and is seen when the next line
    of Python runs. Neither can stop a call into compiled code that does not come back: a pool of processes that belongs
    to the run ends such a worker.
    """
    if seconds is None:
        yield
    elif threading.current_thread() is threading.main_thread() and _alarm_is_free():
        with _by_alarm(seconds):
            yield
    else:
        with _by_planting(seconds):
            yield


def _alarm_is_free() -> bool:
    return hasattr(signal, "setitimer") and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@contextmanager
def _by_alarm(seconds: float) -> Iterator[None]:
    armed = True

    def ring(*_: Any) -> None:
        if armed:
            raise CellTimeout

    earlier = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


@contextmanager
def _by_planting(seconds: float) -> Iterator[None]:
    thread, guard = threading.get_ident(), threading.Lock()
    armed, planted, seen = True, False, False

    def plant() -> None:
        nonlocal planted
        with guard:
            if armed:
                planted = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(CellTimeout))

    timer = threading.Timer(seconds, plant)
    timer.daemon = True
    timer.start()
    try:
        yield
    except CellTimeout:
        seen = True
        raise
    finally:
        with guard:
            armed = False
        timer.cancel()
        until = time.monotonic() + 1
        while planted and not seen and time.monotonic() < until:
            pass  # planted, and not raised yet: it must not be raised elsewhere


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, so that a result does not depend on where it was computed; undone at the end.

    Several threads may be inside at once, as on a Dask worker: the first one in notes how it was, the last one out puts
    that back.
    """
    global _inside, _before
    with _lock:
        _inside += 1
        if _inside == 1:
            torch = sys.modules.get("torch")
            _before = (torch.get_num_threads() if torch else None, {name: os.environ.get(name) for name in _THREADS})
            os.environ.update(dict.fromkeys(_THREADS, "1"))  # for libraries that the cell is the first to load
    try:
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _put_back()


def _put_back() -> None:
    threads, environment = _before
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if "torch" in sys.modules:
        wanted = os.environ.get("OMP_NUM_THREADS", "")
        own = (
            int(wanted)
            if wanted.isdigit()
            else len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        sys.modules["torch"].set_num_threads(threads or own)
