"""Build wheel and sdist, look into both, and use the wheel in an empty environment: `make package`.

`python -m tests.check_package` needs `build` and an index to install from, so it is no test of `make test`. It prints
what it measured, and ends with status 1 and one line if something is wrong.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH = os.environ.get("TORCH", "torch")
LARGEST = 5e6  # bytes of either file
IN_WHEEL = (
    "dynloop/py.typed",
    "dynloop/adapters/demo/hop-plain/model.safetensors",
    "dynloop/views/pages/template/page.js",
)
IN_SDIST = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "dynloop/py.typed",
    "theory/dichotomy.v",
    "docs/index.md",
)
AT_MOST = {"import dynloop": 8, "dynloop --help": 30}  # CPU time over that of `python -c pass`


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        call(sys.executable, "-m", "build", "--outdir", folder / "dist", ROOT)
        (wheel,), (sdist,) = (list((folder / "dist").glob(f"*.{end}")) for end in ("whl", "tar.gz"))
        look_into(
            wheel, zipfile.ZipFile(wheel).namelist(), IN_WHEEL, lambda name: name.startswith(("dynloop/", "dynloop-"))
        )
        with tarfile.open(sdist) as archive:
            inside = [name.partition("/")[2] for name in archive.getnames()]
        look_into(sdist, inside, IN_SDIST, lambda name: not name.startswith(("tests/", "examples/weights/")))
        use(wheel, folder / "environment")


def look_into(path: Path, names: list[str], needed: tuple[str, ...], allowed: Callable[[str], bool]) -> None:
    """Check the size of a file, what must be in it and what must not."""
    size = path.stat().st_size
    require(
        size <= LARGEST, f"{path.name} has {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f}; leave data out of it"
    )
    for name in needed:
        require(name in names, f"{path.name} lacks {name}; add it to pyproject.toml")
    stray = [name for name in names if not allowed(name) or name.endswith((".pyc", ".nbc", ".nbi"))]
    require(not stray, f"{path.name} has {stray[:3]}, which should be left out")
    print(f"{path.name}: {size / 1e6:.2f} MB, {len(names)} files")


def use(wheel: Path, where: Path) -> None:
    """Install the wheel where nothing else is, run the demo from elsewhere, and time the first moments."""
    venv.create(where, with_pip=True)
    python, program = where / "bin" / "python", where / "bin" / "dynloop"
    call(python, "-m", "pip", "install", "--quiet", TORCH)
    call(python, "-m", "pip", "install", "--quiet", wheel)
    shown = call(program, "classify", "demo", cwd=where)
    for word in ("hop-injected", "CYCLIC", "PERIODIC"):
        require(word in shown, f"`dynloop classify demo` does not say {word}:\n{shown}")
    print(f"{wheel.name} in an empty environment: `dynloop classify demo` runs")
    bare = seconds(where, python, "-c", "pass")
    for name, words in (("import dynloop", (python, "-c", "import dynloop")), ("dynloop --help", (program, "--help"))):
        ratio = seconds(where, *words) / bare
        require(ratio <= AT_MOST[name], f"{name} takes {ratio:.1f} times `python -c pass`, more than {AT_MOST[name]}")
        print(f"{name}: {ratio:.1f} times the CPU time of `python -c pass` (at most {AT_MOST[name]})")


def seconds(where: Path, *words: object) -> float:
    """Return the least CPU time of three calls, after one that fills caches."""
    taken = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        call(*words, cwd=where)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken[1:])


def call(*words: object, cwd: Path = ROOT) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def require(holds: bool, said: str) -> None:
    if not holds:
        sys.exit(said)


if __name__ == "__main__":
    main()
