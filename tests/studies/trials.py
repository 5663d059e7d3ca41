"""A study that is disturbed, and what must be true of it whatever happens."""

import random
import shutil
from pathlib import Path

import dynloop as dl
from dynloop.studies.plan import Plan
from tests.studies import cells


class Trial:
    """A study of cells that note when they are called, beside an undisturbed run of the same cells."""

    def __init__(self, folder, count=20, seconds=0.0):
        self.folder, self.out = Path(folder), Path(folder) / "out"
        self.notes = self.folder / "notes"
        self.notes.mkdir()
        self.plan = Plan.grid(
            cells.noted, {"x": list(range(count))}, fixed={"folder": str(self.notes), "seconds": seconds}
        )
        self.wanted = dl.study(self.plan, self.folder / "undisturbed").table()
        (self.notes / "calls").unlink()

    def run(self, **options):
        return dl.study(self.plan, self.out, **options)

    def calls(self):
        path = self.notes / "calls"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def finished(self):
        """The cells that are done, which the store says while nobody runs it; every value is right."""
        if not (self.out / "plan.json").exists():
            return set()
        found = set()
        for row, wanted in zip(dl.Study(self.out).table().rows(), self.wanted.rows(), strict=True):
            if row["state"] == "done":
                assert row == wanted
                found.add(row["x"])
            else:
                assert row["state"] == "pending"
        return found

    def complete(self, **options):
        """Let the study come to its end: what was finished is not computed again, and the table is the wanted one."""
        before, calls = self.finished(), len(self.calls())
        done = self.run(**options)
        assert before.isdisjoint(self.calls()[calls:])
        self.is_right(done)
        return done

    def is_right(self, done):
        assert done.table().columns == self.wanted.columns
        assert done.check() == []
        files = [
            sorted(p.relative_to(out).as_posix() for p in (out / "results").rglob("*.npz"))
            for out in (self.out, self.folder / "undisturbed")
        ]
        assert files[0] == files[1]
        assert self.finished() == set(range(len(self.plan)))

    def forget(self):
        shutil.rmtree(self.out, ignore_errors=True)


def damage(path, rng: random.Random):
    """Flip bytes of a file, cut it, or overwrite a stretch of it; say which."""
    data = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "flip many", "cut", "zeros", "noise"]) if data else "flip"
    if kind == "cut":
        data = data[: rng.randrange(len(data))]
    elif kind in ("zeros", "noise"):
        at = rng.randrange(len(data))
        length = min(rng.choice([16, 512, 4096]), len(data) - at)
        data[at : at + length] = bytes(length) if kind == "zeros" else rng.randbytes(length)
    else:
        for _ in range(1 if kind == "flip" else 40):
            if data:
                data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    path.write_bytes(bytes(data))
    return kind
