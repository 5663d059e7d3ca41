"""Where the Hugging Face cache keeps a checkpoint that was downloaded before: ``hf-cache:ORG/NAME[@REVISION]``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dynloop.errors import CheckpointError

__all__ = ["SCHEME", "cache_folder", "cached_snapshot"]

SCHEME = "hf-cache"
_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_REVISION = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")


def cache_folder() -> Path:
    """Return the cache's folder, as huggingface_hub finds it: HF_HUB_CACHE, HF_HOME/hub, else under ~/.cache."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return (Path(os.environ.get("HF_HOME") or base) / "hub").expanduser()


def cached_snapshot(name: str) -> Path:
    """Return the folder of a model's files in the cache; nothing is downloaded.

    Parameters
    ----------
    name : str
        ``"org/name"``, or ``"org/name@revision"`` with a branch, a tag or a commit. Left out, the revision is
        ``main``, or the only one that is there.

    Raises
    ------
    CheckpointError
        If that is no name of a model, or the cache does not hold it.

    Notes
    -----
    The layout (``models--ORG--NAME/refs/REVISION`` holding a commit, files under ``snapshots/COMMIT``) is the one
    that huggingface_hub documents; it is read here without that package, and the variables are read at every call.
    """
    repo, at, revision = name.partition("@")
    if not _NAME.fullmatch(repo) or (at and not _REVISION.fullmatch(revision)):
        raise CheckpointError(f"{SCHEME}:{name} names no model; write {SCHEME}:ORG/NAME or {SCHEME}:ORG/NAME@REVISION")
    folder = cache_folder()
    kept = folder / f"models--{repo.replace('/', '--')}"
    if not kept.is_dir():
        raise CheckpointError(
            f"the Hugging Face cache at {folder} holds no {repo}, and dynloop downloads nothing; run `hf download "
            f"{repo}` first, or name the cache by HF_HUB_CACHE"
        )
    there = sorted(p.name for p in (kept / "snapshots").glob("*") if p.is_dir())
    reference = kept / "refs" / (revision or "main")
    commit = reference.read_text(encoding="utf8").strip() if reference.is_file() else revision
    if not commit and len(there) == 1:
        commit = there[0]
    if commit in there:
        return kept / "snapshots" / commit
    lacks = f"revision {revision}" if revision else "main revision"
    has = f"the commits {', '.join(there)}" if there else "no files of it"
    raise CheckpointError(
        f"the Hugging Face cache at {folder} holds no {lacks} of {repo}, but {has}; name one as "
        f"{SCHEME}:{repo}@COMMIT, or run `hf download {repo}`"
    )
