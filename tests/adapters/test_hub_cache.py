"""Checkpoints in the Hugging Face cache: which folder an address names, and what is said where it names none."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import dynloop as dl
from dynloop.adapters.hub_cache import cache_folder, cached_snapshot
from dynloop.errors import CheckpointError
from tests.adapters.golden import DATA

COMMIT, OTHER = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that holds org/tiny at two commits, files being links to blobs as the hub's own cache has them."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--org--tiny"
    for commit in (COMMIT, OTHER):
        (kept / "snapshots" / commit).mkdir(parents=True)
    shutil.copytree(DATA / "ouro", kept / "blobs")
    for file in (kept / "blobs").iterdir():
        (kept / "snapshots" / COMMIT / file.name).symlink_to(file)
    (kept / "refs" / "pr").mkdir(parents=True)
    (kept / "refs" / "main").write_text(COMMIT)
    (kept / "refs" / "pr" / "1").write_text(OTHER)
    return tmp_path


# -- exact oracles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "commit"),
    [("org/tiny", COMMIT), ("org/tiny@main", COMMIT), ("org/tiny@pr/1", OTHER), (f"org/tiny@{OTHER}", OTHER)],
)
def test_a_revision_is_a_branch_or_a_commit(cache, name, commit):
    assert cached_snapshot(name) == cache / "models--org--tiny" / "snapshots" / commit


def test_the_only_commit_is_taken_where_no_branch_is_kept(cache):
    kept = cache / "models--org--tiny"
    shutil.rmtree(kept / "refs")
    shutil.rmtree(kept / "snapshots" / OTHER)
    assert cached_snapshot("org/tiny").name == COMMIT


def test_a_cached_checkpoint_is_the_one_of_its_folder(cache):
    ours, theirs = dl.open_checkpoint("hf-cache:org/tiny"), dl.open_checkpoint(DATA / "ouro")
    x = theirs.start()
    np.testing.assert_array_equal(ours.numpy(ours(x)), theirs.numpy(theirs(x)))
    assert "hf-cache:org/tiny" in ours.describe()


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HOME": "/d"}, "/d/.cache/huggingface/hub"),
    ],
)
def test_the_variables_say_where_the_cache_is(monkeypatch, variables, folder):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


# -- error texts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("org/other", "holds no org/other, and dynloop downloads nothing; run `hf download org/other`"),
        ("org/tiny@v2", f"holds no revision v2 of org/tiny, but the commits {COMMIT}, {OTHER}; name one"),
        ("", "names no model; write hf-cache:ORG/NAME"),
        ("../../etc", "names no model"),
        ("org/tiny@../../../x", "names no model"),
        ("org/tiny@", "names no model"),
        (f"org/tiny@{OTHER}", "holds no weights"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(cache, name, says):
    with pytest.raises(CheckpointError) as error:
        dl.open_checkpoint(f"hf-cache:{name}")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_two_commits_and_no_branch_ask_for_a_choice(cache):
    shutil.rmtree(cache / "models--org--tiny" / "refs")
    with pytest.raises(CheckpointError, match="holds no main revision of org/tiny, but the commits"):
        cached_snapshot("org/tiny")
