"""Reading checkpoints: what is found, and one line of error for everything that can be wrong with files."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, UnsafeFileError
from tests.adapters.golden import DATA, changed

WEIGHTS = DATA / "looped_icl" / "model.safetensors"


@pytest.fixture
def folder(tmp_path):
    return changed("looped_icl", tmp_path / "c")


def pickled(folder, name="model.pt", **options):
    """Save the weights as a training run does, and take the safetensors file away."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    path = folder / name
    torch.save({"model": load_file(WEIGHTS), "optimizer": {"step": 3}, "train_step": 3}, path, **options)
    return path


def refused(path, said, kind=CheckpointError):
    with pytest.raises(kind, match=said) as caught:
        open_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is kind


# -- invariants: every way to store the weights gives the same map ---------------------------------------------------


def same_as_stored(path):
    m, stored = open_checkpoint(path), open_checkpoint(WEIGHTS.parent)
    return torch.equal(m(m.start()), stored(stored.start()))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_checkpoint_is_unwrapped(folder, zipped):
    path = pickled(folder, _use_new_zipfile_serialization=zipped)
    assert same_as_stored(path)
    assert same_as_stored(folder)


def test_a_bare_state_dict_is_read(folder):
    (folder / "model.safetensors").unlink()
    torch.save(load_file(WEIGHTS), folder / "pytorch_model.bin")
    assert same_as_stored(folder)


def test_a_usual_name_wins_over_what_a_trainer_leaves(folder):
    torch.save({"lr": 0.1}, folder / "training_args.bin")
    torch.save({}, folder / "optimizer.pt")
    assert same_as_stored(folder)


def sharded(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    placed = {name: f"model-{i % 2 + 1}-of-2.safetensors" for i, name in enumerate(names)}
    for shard in set(placed.values()):
        save_file({name: tensors[name] for name in names if placed[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    return placed


def test_shards_are_put_together(folder):
    sharded(folder)
    assert same_as_stored(folder)


def test_a_path_may_be_text_or_a_path(folder):
    assert same_as_stored(str(folder))
    assert same_as_stored(folder / "model.safetensors")


# -- errors ----------------------------------------------------------------------------------------------------------


def test_missing_folder(tmp_path):
    refused(tmp_path / "nowhere", "there is no folder or file at .*nowhere, and dynloop downloads nothing; give a")


def test_no_weights(tmp_path):
    refused(tmp_path, "holds no weights; put model.safetensors")


def test_no_config(folder):
    (folder / "config.json").unlink()
    refused(folder, "there is no config.json in .*c; put the config that the model was saved with")
    refused(folder / "model.safetensors", "there is no config.json in")
    (folder / "config.yaml").write_text("model:")
    refused(folder, "config.yaml is there: write its content as JSON")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"model": ', "is not valid JSON .line 1, column 11: Expecting value.; correct it or copy it again"),
        (b"[1]", "holds a JSON list, not an object of config fields"),
        (b"\xff\xfe\x00", "cannot be read as JSON .UnicodeDecodeError."),
    ],
)
def test_bad_config(folder, content, said):
    (folder / "config.json").write_bytes(content)
    refused(folder, said)


@pytest.mark.parametrize("kept", [0, 5, 100, 56614, -1])
def test_truncated_safetensors(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder, "model.safetensors is truncated or damaged .*; download or copy it again")


def test_a_tensor_that_stands_twice_in_a_header(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    name, place = next((k, v) for k, v in json.loads(content[8 : 8 + size]).items() if k != "__metadata__")
    header = content[8 : 8 + size].rstrip()[:-1] + f", {json.dumps(name)}: {json.dumps(place)}}}".encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    refused(folder, f"model.safetensors has the key '{name}' twice in its header; write the file again")


def test_a_tensor_that_two_shards_hold(folder):
    weights = load_file(WEIGHTS)
    name = next(iter(weights))
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "a.safetensors")
    save_file({name: weights[name]}, folder / "b.safetensors")
    placed = dict.fromkeys(weights, "a.safetensors") | {name: "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    refused(folder, f"names b.safetensors, whose tensor {name} another file holds too; remove one of them")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_pickle(folder, zipped, share):
    path = pickled(folder, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "model.pt is truncated or damaged .*; download or copy it again")


def test_several_weights_files_are_listed(folder):
    for step in (100, 200):
        pickled(folder, f"model_{step}.pt")
    refused(folder, "holds 2 weights files .model_100.pt, model_200.pt.; give the path of one, such as .*model_100.pt")


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_a_pickle_with_code_is_refused_and_never_run(folder, form):
    path, trace = pickled(folder), folder / "trace"
    content = {"model": Code(f"touch {trace}")}
    if form == "plain":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    what = "more than tensors" if form == "plain" else "(posix|nt).system"
    refused(path, f"is a pickle that asks for {what}, which may run code; it was not loaded. Save its", UnsafeFileError)
    assert not trace.exists()


def test_a_whole_pickled_module_is_refused(folder):
    path = pickled(folder)
    torch.save(torch.nn.Linear(2, 2), path)
    refused(path, "asks for torch.nn.modules.linear.Linear, which may run code", UnsafeFileError)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused(folder):
    path = pickled(folder)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    refused(path, "is a TorchScript archive, which holds code; it was not loaded", UnsafeFileError)


@pytest.mark.parametrize(("content", "said"), [([1, 2], "but a list"), ({"epoch": 1}, "but keys 'epoch'")])
def test_a_pickle_without_named_tensors(folder, content, said):
    path = pickled(folder)
    torch.save(content, path)
    refused(path, f"holds no named tensors {said}; save the model's state_dict")


def test_a_file_that_is_no_weights_file(folder):
    (folder / "model.onnx").write_bytes(b"x")
    refused(folder / "model.onnx", "is no weights file; give a folder, or a file that ends in .safetensors, .pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder, value):
    name = "_backbone.transformer.h.1.mlp.c_fc.weight"
    changed("looped_icl", folder, tensors=lambda t: t[name][:2, 3].fill_(value))
    refused(folder, f"the tensor {name} holds NaN or infinity in 2 of 4096 entries; its training diverged")


def test_a_missing_tensor(folder):
    changed("looped_icl", folder, tensors=lambda t: t.pop("_read_out.bias"))
    refused(folder, "the tensor _read_out.bias of shape .1,. is missing; save the whole state_dict")


def test_a_tensor_too_many(folder):
    changed("looped_icl", folder, tensors=lambda t: t.update(extra=torch.ones(2)))
    refused(folder, "the tensor extra has no place in the model that the config describes; give the config")


def test_a_tensor_of_another_shape(folder):
    changed("looped_icl", folder, tensors=lambda t: t.update({"_read_out.bias": torch.ones(2)}))
    refused(folder, r"the tensor _read_out.bias has shape \(2,\), the config implies \(1,\); give the config")


def test_quantised_weights(folder):
    changed("looped_icl", folder, tensors=lambda t: t.update({"_read_out.bias": torch.ones(1, dtype=torch.int8)}))
    refused(folder, "the tensor _read_out.bias is int8; quantised weights are not read, so convert them")


def test_shards_that_are_missing_elsewhere_or_incomplete(folder):
    placed = sharded(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {**placed, "more": next(iter(placed.values()))}}))
    refused(folder, "lists the tensor more, which no file holds; download the files again")
    index.write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    refused(folder, "names gone.safetensors, which is not there; download or copy that file")
    index.write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    refused(folder, "outside its folder; only files beside it are read")
    index.write_text(json.dumps({"weights": {}}))
    refused(folder, "has no weight_map from tensor names to files")
