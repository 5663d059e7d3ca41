"""What the loop of a Parcae depends on, and the tensors that it implies."""

from __future__ import annotations

from dataclasses import dataclass

from dynloop.adapters.parcae_scales import Scales

__all__ = ["GATE_CHANNELS", "BlockSizes", "Options"]

GATE_CHANNELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSizes:
    """Sizes of the blocks of one part: prelude and coda share theirs, the loop has its own."""

    width: int
    heads: int
    kv_heads: int
    inner: int

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.width // self.heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    outer, core : BlockSizes
        Of prelude and coda; of the loop.
    prelude, blocks, coda : int
        How many blocks each part has.
    loops, trained : int
        ``mean_recurrence`` and ``mean_backprop_depth``; they decide which blocks have a value gate.
    vocabulary, rows, context : int
        Ids, rows of the embeddings (padded), the most tokens.
    injection, start : str
        ``injection_type`` and ``state_init``.
    norm, mlp, act : str
        Class names: RMSNorm, OffsetRMSNorm or LayerNorm; BaseMLP or GatedMLP; the nonlinearity.
    eps : float
        Of every norm with weights.
    bias, qk_bias, qk_norm, prelude_norm, tied, rope : bool
        Options of the same meaning in the config.
    clip, softcap : float or None
        Bound of queries, keys and values; bound of the logits.
    scales : Scales
        Factors of embedding, start and logits.
    """

    outer: BlockSizes
    core: BlockSizes
    prelude: int
    blocks: int
    coda: int
    loops: int
    trained: int
    vocabulary: int
    rows: int
    context: int
    injection: str
    start: str
    norm: str
    mlp: str
    act: str
    eps: float
    bias: bool
    qk_bias: bool
    qk_norm: bool
    prelude_norm: bool
    tied: bool
    rope: bool
    clip: float | None
    softcap: float | None
    scales: Scales

    @property
    def value_width(self) -> int:
        """Width of a value embedding."""
        return self.outer.kv_heads * self.outer.head_size

    def parts(self) -> dict[str, tuple[BlockSizes, int, int, int]]:
        """Return sizes, number of blocks, first index of a value embedding and first layer id of every part."""
        inner = self.prelude + self.blocks
        return {
            "prelude": (self.outer, self.prelude, 0, 0),
            "core_block": (self.core, self.blocks, self.prelude, self.prelude),
            "coda": (self.outer, self.coda, inner, self.prelude + self.blocks * self.loops),
        }

    def has_values(self, index: int) -> bool:
        """Say whether there is a value embedding of this index: every second one, the last included."""
        return index % 2 == (self.prelude + self.blocks + self.coda - 1) % 2

    def has_gate(self, layer: int) -> bool:
        """Say whether the block of this layer id has a value gate: parity as in the depth that was trained through."""
        return layer % 2 == (self.blocks * self.trained - 1) % 2

    def mixes(self, part: str, i: int) -> int | None:
        """Return the index of the value embedding that block `i` of a part mixes in; None where it mixes none.

        It takes both, embedding and gate; where only one of them is there, its weights have no effect.
        """
        _, _, index, layer = self.parts()[part]
        return index + i if self.has_values(index + i) and self.has_gate(layer + i) else None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the model, the rotary table and a tied head apart."""
        d, r = self.outer.width, self.core.width
        total = self.prelude + self.blocks + self.coda
        shapes: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (self.rows, d)}
        shapes |= {
            f"value_embeds.{i}.weight": (self.rows, self.value_width) for i in range(total) if self.has_values(i)
        }
        for part, (sizes, blocks, _, layer) in self.parts().items():
            for i in range(blocks):
                shapes |= self._block(f"transformer.{part}.{i}", sizes, gate=self.has_gate(layer + i))
        if self.injection == "diagonal":
            shapes |= {f"transformer.adapter.{name}": (r,) for name in ("A_log", "dt_bias")}
            shapes["transformer.adapter.B"] = (r, d)
        elif self.injection == "linear":
            shapes |= self._linear("transformer.adapter.adapter", (r, r + d))
        shapes |= self._linear("transformer.C", (d, r))
        for name in ("ln_f", *(["ln_prelude"] if self.prelude_norm else [])):
            shapes |= self._normed(f"transformer.{name}", d)
        if not self.tied:
            shapes["lm_head.weight"] = (self.rows, d)
        return shapes

    def _block(self, stored: str, sizes: BlockSizes, *, gate: bool) -> dict[str, tuple[int, ...]]:
        d, size, keys = sizes.width, sizes.head_size, sizes.kv_heads * sizes.head_size
        linear: dict[str, tuple[int, ...]] = {
            "attn.c_q": (sizes.heads * size, d),
            "attn.c_k": (keys, d),
            "attn.c_v": (keys, d),
            "attn.c_proj": (d, d),
            "mlp.fc": (sizes.inner * (2 if self.mlp == "GatedMLP" else 1), d),
            "mlp.proj": (d, sizes.inner),
        }
        shapes = self._normed(f"{stored}.norm_1", d) | self._normed(f"{stored}.norm_2", d)
        for name, shape in linear.items():
            shapes |= self._linear(f"{stored}.{name}", shape)
        if self.qk_bias:
            shapes[f"{stored}.attn.qk_bias"] = (2, 1, sizes.heads, size)
        if gate:
            shapes[f"{stored}.attn.ve_gate.weight"] = (sizes.kv_heads, GATE_CHANNELS)
        return shapes

    def _linear(self, name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": shape} | ({f"{name}.bias": shape[:1]} if self.bias else {})

    def _normed(self, name: str, width: int) -> dict[str, tuple[int, ...]]:
        parts = ("weight", "bias") if self.norm == "LayerNorm" else ("weight",)
        return {f"{name}.{part}": (width,) for part in parts}
