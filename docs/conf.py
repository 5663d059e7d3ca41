"""How `make docs` builds the site: pages of docs/ and theory/, and a reference from the docstrings."""

import re
from typing import Any

import dynloop

project = "dynloop"
author = "The dynloop developers"
copyright = "The dynloop developers, Apache-2.0"  # noqa: A001 - Sphinx's name
release = version = dynloop.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
# the source is the whole clone, so that links between docs/ and theory/ are what they are on disk
root_doc = "docs/index"
include_patterns = ["docs/**", "theory/*.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
exclude_patterns = ["docs/_build/**"]
nitpicky = False  # docstrings name shapes and foreign types in prose

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc says types in words
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "autolink"  # `name` links where there is such a name

# shown, not run: some train for minutes, and each runs as a test
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/gallery",
    "plot_gallery": "False",
    "download_all_examples": False,
    "show_memory": False,
}

html_theme = "furo"
html_title = "dynloop"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _plain_stars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001 - Sphinx's signature
    """Escape ``*state_shape`` and ``|x|`` where a docstring has them outside of code: numpydoc writes types as text."""
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``|`.*?`)", line)
        parts[::2] = [re.sub(r"(?<![\\*\w])\*(?=state_shape)|(?<!\\)\|(?=\S)", r"\\\g<0>", part) for part in parts[::2]]
        lines[i] = "".join(parts)


def setup(app: Any) -> None:
    """Connect what prepares docstrings; after numpydoc, which is at 500."""
    app.connect("autodoc-process-docstring", _plain_stars, priority=800)
