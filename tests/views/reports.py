"""What the tests of the report page share: a hostile prompt, results of every kind, and the page taken apart."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

import dynloop as dl
from dynloop.orbits.verdict import Classification, Regime
from tests.views.made import made

EVIL = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">\u2028&\"'`"
WORDS = ("The", EVIL, "fox", "<b>jumps</b>", "a\nb", "")


def hostile() -> Classification:
    """A classification whose every text is hostile: name of the map, of layers, tokens, reasons."""
    kinds = [Regime.CYCLIC, Regime.CYCLIC, Regime.PERIODIC, Regime.CHAOTIC, Regime.UNDECIDED, Regime.CYCLIC]
    found = made([kinds], causal=True, rate=[[0.5, 0.1, 0.9, np.nan, np.nan, 0.3]], reasons=[EVIL] * 6)
    evidence = replace(found.evidence, increments=np.full((1, 6, 2), 0.4))
    extra = {"map": EVIL, "tokens": WORDS, "layers": (EVIL, "block"), "loops": 64}
    return replace(found, evidence=evidence, settings={**found.settings, **extra})


def everything() -> list:
    """Results of every kind that has a figure, all of one map."""
    m = dl.zoo.henon()
    return [
        dl.classify(m, [[0.1, 0.1]], loops=256), dl.trajectory(m, [[0.1, 0.1]], 200, sections=True),
        dl.lyapunov_spectrum(m, [0.1, 0.1], loops=200), dl.multipliers(m, [0.6313, 0.1894]),
    ]  # fmt: skip


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, and the words outside scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements, self.words, self.scripts, self.rows, self._inside = [], [], [], [], ""
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = "rows" if dict(attrs).get("class") == "rows" else tag

    def handle_endtag(self, _):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "rows":  # of tables, added by the page's script
            self.rows.append(data)
        elif self._inside != "style":
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def figures(self):
        return json.loads(self.scripts[0])

    @property
    def said(self):
        return re.sub(r"\s+", " ", " ".join(self.words))
