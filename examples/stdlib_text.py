"""English text that every Python carries: the language reference of ``pydoc`` and the docstrings of the library.
=================================================================================================================

``documents()`` returns one text a topic or module, in an order that does not depend on the machine; `Words` cuts text
into lower-case words, digits and signs, the most frequent of them being the vocabulary.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from pydoc_data.topics import topics

UNKNOWN = "<unk>"
_PIECE = re.compile(r"[a-z_]+|\d|[^\sa-z_\d]")
_OTHERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3", "__pycache__", "_vendor"}


def documents() -> list[str]:
    """Return the texts: reference topics by name, then the docstrings of each module of the standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found = [text for _, text in sorted(topics.items())]
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        if not _OTHERS & set(path.relative_to(root).parts):
            found.append(_docstrings(path))
    return [text for text in found if len(text) > 200]


def _docstrings(path: Path) -> str:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return ""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return "\n".join(dict.fromkeys(text for text in said if text))


def pieces(text: str) -> list[str]:
    """Cut text into lower-case words, single digits and single signs."""
    return _PIECE.findall(text.lower())


class Words:
    """A vocabulary of the `size` most frequent pieces of some texts, ``<unk>`` standing for all others."""

    def __init__(self, texts: Iterable[str], size: int) -> None:
        counts = Counter(piece for text in texts for piece in pieces(text))
        ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))
        self.words = [UNKNOWN, *ranked[: size - 1]]
        self._index = {word: i for i, word in enumerate(self.words)}

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text's pieces."""
        return [self._index.get(piece, 0) for piece in pieces(text)]
