"""Orthonormalise frames of tangents, and say how much each direction grew."""

from __future__ import annotations

import torch

__all__ = ["orthonormalise"]


def orthonormalise(
    frames: torch.Tensor, tolerance: float, mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Replace frames by the Q of their QR decompositions; return log R_jj.

    A direction that is gone is drawn anew, orthogonal to the others: what one loop annihilates, the next may stretch.

    Parameters
    ----------
    frames : Tensor, (k, count, n)
        `count` frames of k ≤ n vectors; float32 or float64. Overwritten.
    tolerance : float
        A direction is *gone* where R_jj ≤ tolerance × the longest vector of its frame: rounding is all that is left.
    mask : Tensor, (count, n), optional
        Multiplies what is drawn.

    Returns
    -------
    frames : Tensor, (k, count, n)
        The same array: orthonormal rows, nan in a frame that is not finite.
    logs : Tensor, (count, k), float64
        Natural logarithm of R_jj; −inf where a direction is gone, nan in a frame that is not finite.
    """
    lengths = torch.linalg.vector_norm(frames, dim=-1).mT  # (count, k)
    lost = ~torch.isfinite(lengths).all(dim=1)
    if lost.any():
        frames[:, lost] = 0
    longest = lengths.amax(dim=1, keepdim=True)
    if len(frames) == 1:
        diagonal = lengths
        frames /= torch.where(lengths > 0, lengths, 1).mT[..., None]
    else:
        diagonal = _factor(frames, lengths)
    gone = diagonal <= tolerance * longest
    logs = torch.where(gone, -torch.inf, torch.log(diagonal.double()))
    logs[lost] = torch.nan
    if gone.any():
        _redraw(frames, gone.mT, mask)
    if lost.any():
        frames[:, lost] = torch.nan
    return frames, logs


def _redraw(frames: torch.Tensor, gone: torch.Tensor, mask: torch.Tensor | None) -> None:
    """Draw the directions that are gone, ``(k, count)``, anew."""
    generator = torch.Generator().manual_seed(0)
    frames.mul_(~gone[..., None])
    for a in range(len(frames)):
        if gone[a].any():
            drawn = torch.randn(frames.shape[2], generator=generator, dtype=torch.float64).to(frames)
            new = drawn.expand_as(frames[a]) if mask is None else drawn * mask
            for _ in range(2):  # twice for safety where it nearly lies in the span of the others
                new = new - torch.einsum("bcn,bc->cn", frames, torch.einsum("bcn,cn->bc", frames, new))
            length = torch.linalg.vector_norm(new, dim=-1, keepdim=True)
            frames[a] = torch.where(gone[a][:, None], new / torch.where(length > 0, length, 1), frames[a])


def _factor(frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Write Q over the frames and return the moduli of diag R, ``(count, k)``.

    Vectors of length 0 are taken last: QR completes them by arbitrary directions, which would take their share from the
    vectors behind.
    """
    columns = frames.permute(1, 2, 0)
    if not (lengths == 0).any():
        Q, R = torch.linalg.qr(columns)
        frames.copy_(Q.permute(2, 0, 1))
        diagonal: torch.Tensor = R.diagonal(dim1=-2, dim2=-1).abs()
        return diagonal
    order = torch.argsort((lengths == 0).to(torch.uint8), dim=1, stable=True)
    Q, R = torch.linalg.qr(torch.gather(columns, 2, order[:, None, :].expand_as(columns)))
    back = torch.argsort(order, dim=1)
    frames.copy_(torch.gather(Q, 2, back[:, None, :].expand_as(Q)).permute(2, 0, 1))
    return torch.gather(R.diagonal(dim1=-2, dim2=-1).abs(), 1, back)
