"""Fingerprints of files: another for other content, names or sizes, the same in another folder, samples said to be."""

import pytest

from dynloop.adapters import fingerprint as module
from dynloop.adapters.fingerprint import fingerprint
from dynloop.errors import CheckpointError


def written(folder, **contents):
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def test_content_names_and_sizes_count_and_the_folder_does_not(tmp_path):
    first = fingerprint(written(tmp_path / "a", x=b"12", y=b"3"))
    assert first.startswith("sha256:")
    assert fingerprint(written(tmp_path / "b", x=b"12", y=b"3")[::-1]) == first
    others = [{"x": b"12", "y": b"4"}, {"x": b"12", "z": b"3"}, {"x": b"1", "y": b"23"}, {"x": b"12"}]
    assert len({first, *(fingerprint(written(tmp_path / f"c{i}", **one)) for i, one in enumerate(others))}) == 5
    assert fingerprint([]) == ""


def test_of_large_files_samples_are_read_the_last_bytes_included(tmp_path, monkeypatch):
    for name, value in {"_WHOLE": 100, "_HEAD": 10, "_PIECE": 4, "_PIECES": 5}.items():
        monkeypatch.setattr(module, name, value)
    content = bytearray(range(200))
    first = fingerprint(written(tmp_path / "a", x=bytes(content)))
    assert first.startswith("sampled-sha256:")
    for place, seen in ((0, True), (9, True), (12, False), (47, True), (50, True), (51, False), (199, True)):
        other = content.copy()
        other[place] ^= 1
        assert (fingerprint(written(tmp_path / f"b{place}", x=bytes(other))) != first) is seen


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot read .*gone"):
        fingerprint([tmp_path / "gone"])
