"""Whether a copy of a map's weights fits in memory."""

from __future__ import annotations

from pathlib import Path

import torch

__all__ = ["free_bytes", "weight_count"]


def weight_count(modules: list[torch.nn.Module]) -> int:
    """Return how many numbers the parameters and buffers of modules hold, shared ones once."""
    tensors = {id(t): t.numel() for m in modules for t in (*m.parameters(), *m.buffers()) if t.is_floating_point()}
    return sum(tensors.values())


def free_bytes(device: torch.device) -> int | None:
    """Return how much memory a device has left; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None
