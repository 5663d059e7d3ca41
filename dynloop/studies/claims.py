"""Who is running a study: runners that beat while they live, so that no two compute one cell at once."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
import uuid
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

__all__ = ["Runner", "is_alive", "living"]

BEAT = 5.0  # seconds between two signs of life
LEASE = 60.0  # seconds without one after which a runner of another machine counts as dead
_LONG = 600.0  # the same for a process of this machine that lives: it may compute without letting its beat through
_running: set[str] = set()  # runners of this process


class Runner:
    """One process that runs a study: its identity, and a thread that writes down that it lives."""

    def __init__(self, index: Path) -> None:
        self.id = uuid.uuid4().hex
        self._index = index
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def start(self, connection: sqlite3.Connection) -> None:
        """Enter the runner into the index and begin to beat."""
        row = (self.id, _machine(), os.getpid(), _born(os.getpid()), time.time())
        connection.execute("INSERT INTO runners VALUES (?, ?, ?, ?, ?)", row)
        _running.add(self.id)
        self._thread.start()

    def stop(self) -> None:
        """Stop beating; from now on the runner counts as dead."""
        _running.discard(self.id)
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            # a beat that cannot be written is left out: the next may be
            with suppress(sqlite3.Error), closing(sqlite3.connect(self._index, timeout=BEAT)) as connection, connection:
                connection.execute("UPDATE runners SET beat = ? WHERE id = ?", (time.time(), self.id))


def living(connection: sqlite3.Connection) -> set[str]:
    """Return the runners that live."""
    return {row[0] for row in connection.execute("SELECT id, machine, pid, born, beat FROM runners") if is_alive(*row)}


def is_alive(runner: str, machine: object, pid: object, born: object, beat: object) -> bool:
    """Say whether a runner lives: of this machine by its process too, of another by its beat alone."""
    if machine != _machine():
        return _recent(beat, LEASE)
    if pid == os.getpid():
        return runner in _running
    return isinstance(pid, int) and _born(pid) == born and _recent(beat, _LONG)


def _recent(beat: object, seconds: float) -> bool:
    return isinstance(beat, int | float) and abs(time.time() - beat) < seconds


@cache
def _machine() -> str:
    """Name this machine, since it was started, and the space that process numbers are counted in."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()} {boot} {space}"


def _born(pid: int) -> str:
    """Return when a process was started, in the kernel's own count; empty where there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self").exists():
            return ""
        return "alive" if _exists(pid) else ""
    return "" if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
