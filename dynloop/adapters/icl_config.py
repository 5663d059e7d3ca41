"""The config of a looped in-context regressor, and the tensors that it implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynloop.adapters.settings import choice, count
from dynloop.errors import CheckpointError

__all__ = ["BACKBONE", "Options", "read_options", "section_of"]

BACKBONE = "_backbone.transformer"
_SIZES = ("n_positions", "n_dims", "n_embd", "n_layer", "n_head")
_FIELDS = (*_SIZES, "family", "loop_func", "pred_type", "pretrained_path")
_FORMS = {"z=f(x+z)": "x + e", "z=f(x*z)": "x · e"}
_OUTPUTS = {"regression": 1, "classification": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    width, dims, heads, blocks : int
        Width of the state, dimension of a data point, attention heads, blocks in one loop.
    context : int
        Rows of the position table: the longest prompt, two tokens a pair.
    form : {"x + e", "x · e", "x"}
        How the prompt's contribution e enters each loop; "x": only as the start (``gpt2_tying``).
    outputs : int
        1 (regression) or 2 (classification) numbers read out at every x.
    """

    width: int
    dims: int
    heads: int
    blocks: int
    context: int
    form: str
    outputs: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the map."""
        d = self.width
        modules: dict[str, tuple[int, ...]] = {"_read_in": (d, self.dims), f"{BACKBONE}.ln_f": (d,)}
        for i in range(self.blocks):
            block = {"ln_1": (d,), "attn.c_attn": (3 * d, d), "attn.c_proj": (d, d)}
            block |= {"ln_2": (d,), "mlp.c_fc": (4 * d, d), "mlp.c_proj": (d, 4 * d)}
            modules |= {f"{BACKBONE}.h.{i}.{name}": shape for name, shape in block.items()}
        modules["_read_out"] = (self.outputs, d)
        shapes: dict[str, tuple[int, ...]] = {f"{BACKBONE}.wpe.weight": (self.context, d)}
        for name, shape in modules.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes


def section_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``model:`` section of a training config, or the config itself."""
    section = config.get("model", config)
    return section if isinstance(section, Mapping) else {}


def read_options(config: Mapping[str, Any], where: str) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, has the wrong type, or asks for what the adapter cannot do.
    """
    section = section_of(config)
    for field in section:
        if field not in _FIELDS:
            raise CheckpointError(
                f"{where}: the config says {field} = {repr(section[field])[:40]}, which the looped_icl adapter does "
                "not know; remove the field if it changes nothing, or register an adapter of your own"
            )
    tied = choice(section, "family", where, ("gpt2_loop", "gpt2_tying"), default="gpt2_loop") == "gpt2_tying"
    form = _FORMS[choice(section, "loop_func", where, _FORMS, default="z=f(x+z)")]
    outputs = _OUTPUTS[choice(section, "pred_type", where, _OUTPUTS, default="regression")]
    width, heads = count(section, "n_embd", where), count(section, "n_head", where)
    if width % heads:
        raise CheckpointError(
            f"{where}: n_head must divide n_embd; config.json says {heads} and {width}, so correct it"
        )
    layers = count(section, "n_layer", where)
    return Options(
        width=width,
        dims=count(section, "n_dims", where),
        heads=heads,
        blocks=1 if tied else layers,  # the n_layer of a tied model counts its loops
        context=2 * count(section, "n_positions", where) + 1,
        form="x" if tied else form,
        outputs=outputs,
    )
