"""Colours: each name has one value, and what a page draws is seen on a light ground and on a dark one."""

import re
from pathlib import Path

import pytest

import dynloop as dl
from dynloop.views import palette

VIEWS = Path(dl.__file__).parent / "views"


def luminance(colour):
    """Relative luminance of WCAG 2.1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["PAGE_INK", "ACCENT", "GREY"])
def test_what_a_page_draws_is_seen_on_both_grounds(name):
    css = (VIEWS / "pages" / "template" / "page.css").read_text("utf-8")
    cards = set(re.findall(r"--card:(#[0-9a-f]{6})", css)) | {"#ffffff"}
    assert len(cards) >= 2
    for ground in cards:
        assert contrast(getattr(palette, name), ground) >= 3, ground


def test_colours_are_defined_in_the_palette_alone():
    for path in VIEWS.rglob("*.py"):
        if path.name != "palette.py":
            assert not re.search(r"^[A-Z_, ]*(INK|ACCENT|GREY)\b.*=", path.read_text("utf-8"), re.MULTILINE), path
