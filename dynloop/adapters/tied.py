"""A head that is the embedding: stored once, under either name, or twice and equal."""

from __future__ import annotations

import dataclasses

import torch

from dynloop.adapters.base import Source
from dynloop.errors import CheckpointError

__all__ = ["with_tied"]


def with_tied(source: Source, table: str, head: str, field: str) -> Source:
    """Return a checkpoint whose embedding has its own name, its head being the same tensor.

    Parameters
    ----------
    source : Source
        A checkpoint whose config says by `field` that the head is the embedding.
    table, head : str
        The names of the embedding and of the head. Where one tensor was saved for both, it may bear either name.
    field : str
        The field of the config, for the message.

    Raises
    ------
    CheckpointError
        If both are stored and differ.
    """
    stored = source.tensors
    if head not in stored:
        return source
    if table not in stored:
        return dataclasses.replace(source, tensors={**stored, table: stored[head]})
    one, other = stored[table], stored[head]
    if one.data_ptr() != other.data_ptr() and (one.shape != other.shape or not torch.equal(one, other)):
        raise CheckpointError(
            f"{source.name}: the config says {field}, and {head} differs from {table}; set {field} to false if the "
            "stored head counts, or leave that tensor out"
        )
    return source
