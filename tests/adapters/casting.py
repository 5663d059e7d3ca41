"""Golden comparison for families whose own code casts to float32 inside its norms, so that its float64 is 1e-7 good."""

from collections.abc import Callable

import numpy as np
import torch

from dynloop.adapters.base import Checkpoint
from tests.adapters.golden import LOOPS, SUFFIX, gap, golden, tolerance


def allowed(family: str, name: str, dtype: str) -> float:
    return 1e-5 if dtype == "float64" else tolerance(family, name, dtype)


def of_prompt(array: np.ndarray, b: int, *, pair: bool) -> np.ndarray:
    """State of prompt b: goldens keep the halves of a pair in front of the batch."""
    return array[:, b] if pair else array[b]


def assert_golden(family: str, m: Checkpoint, b: int, dtype: str, *, pair: bool) -> None:
    """States and outputs after 1, 4 and 16 loops from the start of the golden run."""
    arrays = golden(family)
    x = torch.as_tensor(of_prompt(arrays[f"x0{SUFFIX[dtype]}"], b, pair=pair))[None]
    assert m(x).dtype is x.dtype
    for n in range(1, max(LOOPS) + 1):
        x = m(x)
        if n in LOOPS:
            state, output = f"state_K{n}", f"logits_K{n}"
            expected = of_prompt(arrays[state + SUFFIX[dtype]], b, pair=pair)
            assert gap(x[0], expected) <= allowed(family, state, dtype)
            assert gap(m.decode(x)[0], arrays[output + SUFFIX[dtype]][b]) <= allowed(family, output, dtype)


def assert_halves(family: str, m: Checkpoint, b: int, half: Callable[[str], int]) -> None:
    """Sections of loop 1: the half at work is what the model's module puts out, the other half stays."""
    arrays = golden(family)
    x = torch.as_tensor(arrays["x0"][:, b])[None]
    sections, expected = m.sections(x)[:, 0], arrays["layers_loop1"][:, b]
    assert len(expected) == m.layer_count
    for i, name in enumerate(m.layer_names):
        assert gap(sections[i + 1, half(name)], expected[i]) <= 2e-5
        assert torch.equal(sections[i + 1, 1 - half(name)], sections[i, 1 - half(name)])
