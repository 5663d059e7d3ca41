"""`dynloop ls`: every name that a command takes."""

from __future__ import annotations

from dynloop.cli.terminal import reported, show

__all__ = ["ls"]


def ls() -> None:
    """List the families of checkpoints, the demos, the zoo and the synthetic blocks."""
    with reported():
        from dynloop.views.catalogue import render

        show(render())
