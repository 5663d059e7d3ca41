"""Where cells are sent: this process, a pool of spawned processes, or any other executor."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

__all__ = ["InProcess", "end", "is_loss", "options", "process_pool", "slots"]

T = TypeVar("T")


class InProcess(Executor):
    """Runs what it is given at once, in the calling thread."""

    _max_workers = 1

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call `fn`; an interrupt is raised here, an error is the future's."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # as every executor: it is the caller's, by the future
            future.set_exception(error)
        return future


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of spawned processes that leave Ctrl-C to their parent and end when it does."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)


def end(executor: Executor) -> None:
    """Shut an executor down at once; the processes of a pool are killed, whatever they do."""
    processes = list((getattr(executor, "_processes", None) or {}).values())
    try:
        executor.shutdown(wait=False, cancel_futures=True)
    except TypeError:  # Dask's knows no cancel_futures, and cancels
        executor.shutdown(wait=False)
    for process in processes:
        process.kill()
    for process in processes:
        process.join(10)


def slots(executor: Executor) -> int:
    """Return how many cells an executor may compute at once; 64 if it does not say."""
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "nthreads"):  # a Dask cluster
        return max(1, int(sum(client.nthreads().values())))
    return int(getattr(executor, "_max_workers", 0) or 64)


def options(executor: Executor) -> dict[str, Any]:
    """Return what `submit` takes beside the call: Dask need not find out that no two attempts are the same."""
    return {"pure": False} if hasattr(getattr(executor, "_client", None), "nthreads") else {}


def is_loss(error: BaseException) -> bool:
    """Say whether a worker died under a cell, which says nothing about the cell."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ in (
        "KilledWorker",
        "CancelledError",
        "FutureCancelledError",
    )


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End this process when its parent has: a pool whose parent was killed would wait for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
