"""kill -9 at random moments, of the process that runs a study and of its workers: nothing finished is lost.

All are slow but for a slice of each. The moments are drawn; what is asserted holds at every one.
"""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

import dynloop as dl
from tests.studies.trials import Trial

DRIVER = """
import json, sys
import dynloop as dl
from tests.studies import cells
out, axes, fixed, workers = json.loads(sys.argv[1])
print("began", flush=True)
dl.study(dl.Plan.grid(cells.noted, axes, fixed=fixed), out, workers=workers, verify=False)
"""


def driver(trial, workers):
    """Start the study in a process of its own, and wait until it begins."""
    given = json.dumps([str(trial.out), trial.plan.axes, trial.plan.fixed, workers])
    process = subprocess.Popen([sys.executable, "-c", DRIVER, given], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "began\n"
    return process


def some(fast, slow):
    return [pytest.param(n, marks=() if n < fast else pytest.mark.slow) for n in range(slow)]


@pytest.mark.parametrize("seed", some(1, 6))
def test_the_main_process_is_killed(seed, tmp_path):
    """Four times a test: 24 in all."""
    rng = random.Random(seed)
    trial = Trial(tmp_path, count=60, seconds=0.01)
    for _ in range(4):
        before, calls = trial.finished(), len(trial.calls())
        process = driver(trial, workers=2 if seed % 3 == 2 else None)
        time.sleep(rng.uniform(0, 0.5) if seed % 3 != 2 else rng.uniform(0.5, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        time.sleep(0.1)  # orphaned workers end by themselves
        assert before <= trial.finished()
        assert before.isdisjoint(trial.calls()[calls:])
    trial.complete()


@pytest.mark.parametrize("seed", some(1, 4))
def test_workers_are_killed(seed, tmp_path):
    """Up to four times a test: about 14 in all. A worker that is killed takes its cell along, not the study."""
    rng = random.Random(seed)
    trial = Trial(tmp_path, count=60, seconds=0.03)
    ended, killed = threading.Event(), []

    def kill():
        while not ended.wait(rng.uniform(0.05, 1.5)) and len(killed) < (1 if seed == 0 else 4):
            workers = multiprocessing.active_children()
            if workers and trial.calls():
                killed.append(rng.choice(workers).pid)
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        done = trial.run(workers=2)
    finally:
        ended.set()
        killer.join()
    if "lost" in done.table().columns["state"]:  # the same cell met every death
        done = trial.run(workers=2)
    trial.is_right(done)
    assert len(multiprocessing.active_children()) == 0


def test_workers_end_when_their_main_process_is_killed(tmp_path):
    trial = Trial(tmp_path, count=40, seconds=0.02)
    process = driver(trial, workers=2)
    until = time.monotonic() + 60
    while not trial.calls() and time.monotonic() < until:
        time.sleep(0.02)
    workers = {pid for pid in children(process.pid) if "spawn_main" in command(pid)}
    assert workers
    process.kill()
    process.wait()
    process.stdout.close()
    while any("spawn_main" in command(pid) for pid in workers) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any("spawn_main" in command(pid) for pid in workers)
    trial.complete()


def test_a_dead_runner_holds_no_claim(tmp_path):
    """The run after a kill does not wait for the lease of the dead: it takes the cells at once."""
    trial = Trial(tmp_path, count=30, seconds=0.02)
    process = driver(trial, None)
    while len(trial.calls()) < 3:
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdout.close()
    began = time.monotonic()
    trial.complete()
    assert time.monotonic() - began < dl.studies.claims.LEASE / 2


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [None, 2])
def test_an_interrupt_from_the_keyboard(workers, tmp_path):
    """Ctrl-C goes to the whole group of processes, workers too: they leave it to the main process, which ends them."""
    trial = Trial(tmp_path, count=60, seconds=0.05)
    given = json.dumps([str(trial.out), trial.plan.axes, trial.plan.fixed, workers])
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, given], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while len(trial.calls()) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said.count("Traceback") == 1
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert 1 <= len(trial.finished()) < 60
    trial.complete()
