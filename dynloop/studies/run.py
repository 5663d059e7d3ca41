"""Run the cells of a plan that are not done, on any executor, and write each down as it ends.

The run holds few cells in flight, twice as many as can compute at once: those it has claimed, so that another runner of
the same study takes others. Records are synced to disk by threads of their own while the next cells compute; a cell
counts once its row is written.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from dynloop.errors import StoreError, StudyError
from dynloop.studies import files, pools
from dynloop.studies.beginnings import Beginnings
from dynloop.studies.index import Row
from dynloop.studies.plan import Plan
from dynloop.studies.progress import Meter, Progress
from dynloop.studies.store import Store
from dynloop.studies.worker import DONE, ERROR, LOST, TIMEOUT, Job, Outcome, failure, run_cells

__all__ = ["LOSSES", "run"]

LOSSES = 3  # times that a cell may lose its worker; a cell that a scheduler gives up has lost it twice
_GRACE = 10.0  # seconds beyond its time after which the worker of a cell is killed
_START = 600.0  # seconds more that a worker may take to start, and to import what it computes with
_WRITERS, _WRITES = 4, 64  # threads that sync records; records they may be behind with
_TICK, _POLL = 0.25, 1.0  # seconds between looks at the clock, and at cells that other runners have
_TASK, _MOST = 0.05, 32  # seconds that a task is to take at least, and the most cells that go into one
_ASK = 10.0  # seconds between two questions to a cluster how large it is


class Run:
    """One run of a plan.

    Parameters
    ----------
    plan : Plan
        What is run.
    function : callable
        What its cells call.
    store : Store
        Where it is kept.
    executor : Executor or None
        Where cells compute; None if `make` makes it.
    make : callable or None
        Makes the executor, again where it breaks; what it makes is shut down at the end.
    retries, timeout, retry_failed, workers_write, together, progress
        As of `dynloop.study`.
    """

    def __init__(
        self, plan: Plan, function: Callable[..., Any], store: Store, *,
        executor: Executor | None, make: Callable[[], Executor] | None, retries: int,
        timeout: float | None, retry_failed: bool, workers_write: bool, together: int | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        self.plan, self.store, self.make = plan, store, make
        self.executor = executor
        self.function = function
        self.retries, self.timeout, self.retry_failed = retries, timeout, retry_failed
        self.workers_write = workers_write
        self.number: dict[str, int] = {}
        for number, key in enumerate(plan.keys):
            self.number.setdefault(key, number)
        self.began = time.time()
        self.rows = {key: row for key, row in store.rows.items() if not self._again(row)}
        self.todo = deque(key for key in self.number if key not in self.rows)
        self.ours: deque[str] = deque()  # claimed, and about to go out
        self.suspects: deque[str] = deque()  # cells that lost a worker: run one at a time, to see which of them it is
        self.elsewhere: list[str] = []
        self.polled = 0.0
        self.together = together
        self.taken: float | None = None  # seconds that a cell takes of late
        self.slots, self.asked = 1, float("-inf")
        self.attempts: dict[str, int] = {}
        self.losses: dict[str, int] = {}
        self.flying: dict[Future[Any], tuple[tuple[Job, ...], float]] = {}
        self.events: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self.writing: set[Future[Outcome]] = set()
        self.serial = 0
        self.failed = sum(row.state != DONE for row in self.rows.values())
        self.beginnings = None if timeout is None or make is None else Beginnings()
        self.looked = 0.0
        self.meter = Meter(progress, len(self.number))
        self.writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="dynloop-write")

    def run(self) -> None:
        """Run until every cell has ended."""
        try:
            self._show()
            while self.todo or self.ours or self.suspects or self.elsewhere or self.flying or self.writing:
                self._poll()
                self._send()
                self._receive()
                self._end_overdue()
            self._show(last=True)
        finally:
            self._leave()

    # -- cells go out ---------------------------------------------------------------------------------------------

    def _send(self) -> None:
        if not (self.ours or self.todo or self.suspects):
            return
        if self.executor is None:
            self.executor = self._made()
        if not (self.todo or self.ours or self.flying or self.writing):
            self._claim(self.suspects, 1)
        room = self._room(self.executor)
        while (self.todo or self.ours) and len(self.flying) < room and len(self.writing) < _WRITES:
            if not self.ours:
                wanted = (room - len(self.flying)) * self._together()
                self._claim(self.todo, max(min(wanted, 256), self.meter.soon()))
            while self.ours and len(self.flying) < room:
                keys = [self.ours.popleft() for _ in range(min(self._together(), len(self.ours)))]
                if not self._submit(self.executor, keys):
                    return
                if self._in_process:
                    break

    def _together(self) -> int:
        """Return how many cells go out as one task: as many as compute in about 50 ms, where the run may choose."""
        if self.together is not None:
            return self.together
        if self._in_process or self.timeout is not None or self.taken is None:
            return 1
        return max(1, min(_MOST, int(_TASK / max(self.taken, 1e-6))))

    def _room(self, executor: Executor) -> int:
        """Return how many cells may be in flight: as many as compute at once, and some that wait for their turn.

        Not where a worker that is late is killed: those that wait would go with it. A cluster is asked now and then,
        since it may grow.
        """
        if time.monotonic() - self.asked > _ASK:
            self.slots, self.asked = pools.slots(executor), time.monotonic()
        if self._in_process or (self.timeout is not None and self.make is not None):
            return self.slots
        return 2 * self.slots + self.meter.soon()

    def _made(self) -> Executor:
        if self.make is None:
            raise StudyError("the executor is gone, and nothing makes another")
        return self.make()

    @property
    def _in_process(self) -> bool:
        return isinstance(self.executor, pools.InProcess)

    def _claim(self, source: deque[str], count: int) -> None:
        """Claim up to `count` cells of a queue: ours, those that another runner has, those that it has finished."""
        keys = [source.popleft() for _ in range(min(count, len(source)))]
        claimed, elsewhere, ended = self.store.claim(keys, self._again)
        self.ours += claimed
        self.elsewhere += elsewhere
        self._note(ended)

    def _submit(self, executor: Executor, keys: list[str]) -> bool:
        """Send cells out as one task; if the executor is found broken, keep them and return False."""
        jobs = tuple(self._job(key) for key in keys)
        try:
            future = executor.submit(run_cells, jobs, **pools.options(executor))
        except BrokenExecutor as error:
            self.ours.extendleft(reversed(keys))
            self._broken(error)
            return False
        for key in keys:
            self.attempts[key] = self.attempts.get(key, 0) + 1
        self.flying[future] = jobs, time.monotonic()
        future.add_done_callback(self.events.put)
        return True

    def _job(self, key: str) -> Job:
        self.serial += 1
        return Job(
            key, self.function, self.plan.parameters(self.number[key]), self.plan.address, self.plan.code,
            f"{self.store.runner.id} {self.serial}", self.timeout,
            str(self.store.folder.absolute()) if self.workers_write else None,
            None if self.beginnings is None else self.beginnings.mark(self.serial),
        )  # fmt: skip

    # -- outcomes come in -----------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Take what has come in, after waiting for it if there is nothing else to do."""
        came: list[Future[Any]] = []
        with suppress(queue.Empty):
            came.append(self.events.get(timeout=_TICK) if self._idle() else self.events.get_nowait())
            while True:
                came.append(self.events.get_nowait())
        ended: list[Outcome] = []
        for future in came:
            if future in self.writing:
                self.writing.discard(future)
                ended.append(future.result())
            elif future in self.flying:
                ended += self._landed(future)
        self._commit(ended)

    def _idle(self) -> bool:
        """Whether nothing can be done until something comes in or time passes."""
        if not (self.todo or self.ours):
            return bool(self.flying or self.writing or self.elsewhere)
        return bool(self.flying or self.writing) and not (self._in_process and len(self.writing) < _WRITES)

    def _landed(self, future: Future[Any]) -> list[Outcome]:
        """Take what came of a task; return what can be written down at once."""
        jobs, _ = self.flying.pop(future)
        if self.beginnings is not None:
            self.beginnings.forget(jobs)
        error = CancelledError() if future.cancelled() else future.exception()
        if error is None:
            outcomes: list[Outcome] = future.result()
        elif isinstance(error, StoreError):
            raise error  # a worker could not write
        elif pools.is_loss(error):
            return [one for job in jobs for one in self._lost(job, error)]
        elif len(jobs) > 1:  # the task as a whole failed: by themselves they show which it was
            for job in jobs:
                self.attempts[job.key] -= 1
                self.suspects.append(job.key)
            return []
        else:
            outcomes = [failure(jobs[0], ERROR, error)]
        return [outcome for outcome in outcomes if self._kept(outcome)]

    def _kept(self, outcome: Outcome) -> bool:
        """Try a failed cell again, or have its record written; say whether it is written already."""
        self.taken = outcome.seconds if self.taken is None else 0.8 * self.taken + 0.2 * outcome.seconds
        if outcome.state != DONE and not outcome.final and self.attempts[outcome.key] <= self.retries:
            self.todo.append(outcome.key)
            return False
        if outcome.data is None:
            return True
        self._write(outcome)
        return False

    def _write(self, outcome: Outcome) -> None:
        writing = self.writers.submit(_write, self.store.folder, outcome)
        self.writing.add(writing)
        writing.add_done_callback(self.events.put)

    def _lost(self, job: Job, error: BaseException) -> list[Outcome]:
        """Count a cell that lost its worker; it is tried again by itself, and given up after so many times."""
        self.losses[job.key] = self.losses.get(job.key, 0) + (1 if isinstance(error, BrokenExecutor) else 2)
        self.attempts[job.key] -= 1
        if self.losses[job.key] <= LOSSES:
            self.suspects.append(job.key)
            ended = []
        else:
            said = RuntimeError(
                "its worker died again and again, at last with this cell alone (out of memory? a crash?)"
            )
            ended = [_given_up(job, said)]
        if isinstance(error, BrokenExecutor):
            self._broken(error)
        return ended

    def _broken(self, error: BrokenExecutor) -> None:
        """Part with a broken executor; another is made when the next cell goes out."""
        if self.make is None:
            raise StudyError(
                f"the executor broke ({' '.join(str(error).split())}); run the study again with a new one, or give "
                "workers=N or a function that makes one, and it is made anew"
            ) from error
        if self.executor is not None and not self.flying:
            pools.end(self.executor)
            self.executor = None

    def _commit(self, ended: list[Outcome]) -> None:
        if not ended:
            return
        for outcome in ended:
            changed = self.plan.changed_input(self.number[outcome.key])
            if changed is not None:
                raise StudyError(f"{changed} was written again while the study ran; make the plan again and run that")
        rows = self.store.finish((outcome, self.attempts.get(outcome.key, 0)) for outcome in ended)
        self.meter.ended(len(rows))
        self._note(rows)

    def _note(self, rows: list[Row]) -> None:
        for row in rows:
            self.rows[row.key] = row
            self.failed += row.state != DONE
        self._show()

    # -- time passes ----------------------------------------------------------------------------------------------

    def _end_overdue(self) -> None:
        """Kill the workers of a pool of ours where a cell does not come back after its time; others begin again.

        Its time begins with the cell, not with the start of its worker. A worker that never says that it has begun is
        given up after a while, and its cell is lost: nothing is known of how long that takes.
        """
        if self.timeout is None or self.beginnings is None or self.executor is None:
            return
        now = time.monotonic()
        if now - self.looked < _TICK:
            return
        self.looked = now
        patience = self.timeout + max(_GRACE, self.timeout / 10)
        late: dict[str, str] = {}
        for jobs, sent in self.flying.values():
            current = self.beginnings.current(jobs)
            if current is not None and now - current[1] > patience:
                late[current[0].attempt] = TIMEOUT
            elif current is None and now - sent > patience + _START:
                late[jobs[0].attempt] = LOST
        if late:
            self._kill(late)

    def _kill(self, late: dict[str, str]) -> None:
        """Kill all workers; cells that are late end so, those beside them begin again."""
        if self.executor is not None:
            pools.end(self.executor)
        self.executor = None
        lost = []
        for future, (jobs, _) in list(self.flying.items()):
            if future.done() and not future.cancelled() and future.exception() is None:
                continue  # it came back just now
            del self.flying[future]
            if self.beginnings is not None:
                self.beginnings.forget(jobs)
            for job in reversed(jobs):
                if late.get(job.attempt) == TIMEOUT:
                    said = TimeoutError(f"the cell ran longer than {job.timeout:g} s and was killed")
                    self._write(failure(job, TIMEOUT, said))
                elif job.attempt in late:
                    lost.append(_given_up(job, RuntimeError(
                        f"its worker did not begin within {_START:g} s (does an import hang? is it on another machine?)"
                    )))  # fmt: skip
                else:
                    self.attempts[job.key] -= 1
                    self.todo.appendleft(job.key)
        self._commit(lost)

    def _poll(self) -> None:
        """Look again at cells that other runners have."""
        if not self.elsewhere or self.todo or self.ours or time.monotonic() - self.polled < _POLL:
            return
        self.polled = time.monotonic()
        self.todo.extend(self.elsewhere)
        self.elsewhere = []

    def _again(self, row: Row) -> bool:
        """Whether a cell that ended so in an earlier run is to be computed: lost ones always, failures if asked."""
        wanted = row.state == LOST or (self.retry_failed and row.state != DONE)
        return wanted and row.finished < self.began

    def _show(self, *, last: bool = False) -> None:
        self.meter.show(len(self.rows), self.failed, len(self.flying), last=last)

    def _leave(self) -> None:
        """Keep what has come back, let go of the rest."""
        for future in self.flying:
            if future.done() and not future.cancelled() and future.exception() is None:
                for outcome in future.result():
                    if outcome.state == DONE and outcome.data is not None:
                        self._write(outcome)
            future.cancel()
        if self.make is not None and self.executor is not None:
            pools.end(self.executor)
        if self.beginnings is not None:
            self.beginnings.end()
        self.writers.shutdown(wait=True)
        kept = [future.result() for future in self.writing if future.exception() is None]
        with suppress(StudyError):
            self._commit(kept)


def run(plan: Plan, function: Callable[..., Any], store: Store, **options: Any) -> None:
    """Run a plan; see `Run`."""
    Run(plan, function, store, **options).run()


def _given_up(job: Job, said: Exception) -> Outcome:
    """Return the outcome of a cell whose worker was lost: a row without a record, computed again by the next run."""
    outcome = failure(job, LOST, said)
    return Outcome(job.key, LOST, "{}", outcome.error, 0.0, "", outcome.environment)


def _write(folder: Path, outcome: Outcome) -> Outcome:
    return outcome.written(files.write(folder, outcome.key, outcome.data or b""))
