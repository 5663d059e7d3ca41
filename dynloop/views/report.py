"""`report`: results as one self-contained page, verdict first, that opens anywhere without a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dynloop import atomic
from dynloop.arguments import checked_path
from dynloop.errors import CheckpointError
from dynloop.views.pages.page import page
from dynloop.views.pages.sources import entries_of

__all__ = ["report"]


def report(results: Any, path: str | os.PathLike[str], *, title: str | None = None, command: str | None = None) -> Path:
    """Write results to one HTML page: the verdict in a sentence, then evidence, figures, tables and provenance.

    Parameters
    ----------
    results : Result, path-like, sequence of these, or mapping of titles to these
        Results, files that `Result.save` wrote, or folders such as ``dynloop classify --out`` and ``dynloop study run``
        write. Results of one map belong together: a classification with a trajectory, exponents, multipliers and
        theorems of it.
    path : path-like
        The page; a file that is there is replaced.
    title : str, optional
        Of the page; the name of the map if left out.
    command : str, optional
        What repeats the results, shown as it is. Folders of a run know theirs.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InvalidArgumentError
        If there is no result, something is none, or `path` is no path.
    CheckpointError
        If a file is missing, damaged or no result, or the page cannot be written; nothing is left behind.
    MissingPackageError
        If plotly or jinja2 is not installed.

    Notes
    -----
    Nothing is computed again. The page holds plotly (about 5 MB), loads nothing, and forbids itself to: its content
    security policy names its own scripts by their hashes, so that text in a prompt is shown and never run.

    Examples
    --------
    >>> import dynloop as dl, tempfile, os
    >>> m = dl.zoo.logistic(3.2)
    >>> found = [dl.classify(m, [[0.3]]), dl.trajectory(m, [[0.3]], 100)]
    >>> dl.report(found, os.path.join(tempfile.mkdtemp(), "report.html")).name
    'report.html'
    """
    target = checked_path(path, "path", "Give the path of the page to write")
    entries, titles = entries_of(results)
    text = page(entries, titles, title=title, command=command)
    try:
        atomic.write(target, text.encode(errors="backslashreplace"))
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"cannot write {target} ({reason}); give a file in a writable folder") from error
    return target
