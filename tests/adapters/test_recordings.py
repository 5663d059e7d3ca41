"""Files of recorded states: what is read, and what is refused without running it."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dynloop.adapters.recordings import read_recording
from dynloop.errors import CheckpointError, UnsafeFileError

STATES = np.arange(60.0).reshape(20, 3)
SECTIONS = np.arange(120.0).reshape(20, 2, 3)


def test_each_format_gives_what_was_saved(tmp_path):
    np.save(tmp_path / "a.npy", STATES)
    np.savez(tmp_path / "b.npz", states=STATES, sections=SECTIONS, loss=np.zeros(3))
    np.savez_compressed(tmp_path / "c.npz", hidden=STATES)
    save_file({"hidden": torch.from_numpy(STATES).to(torch.bfloat16)}, tmp_path / "d.safetensors")
    for name, between in (("a.npy", None), ("b.npz", SECTIONS), ("c.npz", None)):
        states, sections = read_recording(tmp_path / name)
        assert np.array_equal(states, STATES)
        assert sections is None if between is None else np.array_equal(sections, between)
    states, sections = read_recording(tmp_path / "d.safetensors")
    assert states.dtype == torch.bfloat16
    assert sections is None


def test_objects_are_refused(tmp_path):
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", states=objects)
    for name in ("o.npy", "o.npz"):
        with pytest.raises(UnsafeFileError, match="Python objects"):
            read_recording(tmp_path / name)


def test_an_object_beside_the_states_is_not_looked_at(tmp_path):
    np.savez(tmp_path / "x.npz", states=STATES, meta=np.array([{"a": 1}], dtype=object))
    assert np.array_equal(read_recording(tmp_path / "x.npz")[0], STATES)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pt", b"x", "ends in .npy, .npz, .safetensors"),
        ("a.npy", b"", "truncated, damaged or no .npy file"),
        ("a.npy", b"\x80\x04K\x01.", "truncated, damaged or no .npy file"),
        ("a.npz", b"PK\x03\x04 no zip", "truncated, damaged or no .npz file"),
        ("a.safetensors", b"\x00" * 20, "truncated or damaged"),
        ("missing.npy", None, "there is no file"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=says) as caught:
        read_recording(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_truncated_array_is_damaged(tmp_path):
    np.save(tmp_path / "t.npy", STATES)
    whole = (tmp_path / "t.npy").read_bytes()
    (tmp_path / "t.npy").write_bytes(whole[:-40])
    with pytest.raises(CheckpointError, match="truncated"):
        read_recording(tmp_path / "t.npy")


def test_an_archive_that_does_not_say_which_is_refused(tmp_path):
    np.savez(tmp_path / "m.npz", a=STATES, b=STATES)
    with pytest.raises(CheckpointError, match=r"holds 2 arrays \(a, b\) and none is called states"):
        read_recording(tmp_path / "m.npz")
    np.savez(tmp_path / "e.npz")
    with pytest.raises(CheckpointError, match="none"):
        read_recording(tmp_path / "e.npz")
