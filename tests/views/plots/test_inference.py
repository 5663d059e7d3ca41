"""Plots of attention, stages and ablations: what is on the Axes is what is in the record."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
M = dl.synthetic.looped_transformer(layers=3, width=16, heads=2, tokens=5)


@pytest.fixture(autouse=True)
def _close():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


def test_distances_of_a_head_are_an_image():
    found = dl.attention_stability(M, loops=8, every=2)
    ax = dl.draw_attention(found, attention=1, head=1, cmap="gray")
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), found.distances[0, 1, 1])
    assert image.get_extent() == [-1, 7, -1, 7]
    assert ax.get_title() == "block 1, head 1"
    with pytest.raises(InvalidArgumentError, match=r"head must be an int from 0 to 1; got 2\. Leave it out"):
        dl.draw_attention(found, head=2)
    with pytest.raises(InvalidArgumentError, match="attention must be an int from 0 to 2; got 'first'"):
        dl.draw_attention(found, attention="first")
    with pytest.raises(InvalidArgumentError, match="pairwise=True"):
        dl.draw_attention(dl.attention_stability(M, loops=3, pairwise=False))


def test_stage_curves_are_lines_with_bands():
    found = dl.inference_stages(M, M.start(0, 3), loops=2)
    once = dl.inference_stages(M, loops=1)
    ax = dl.draw_stages(found, "matrix_entropy")
    assert len(ax.collections) == 2
    for line, row in zip(ax.lines, found.curves["matrix_entropy"], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), row)
        np.testing.assert_array_equal(line.get_xdata(), range(4))
    both = dl.draw_stages(found, "mixing", feed_forward=once)
    np.testing.assert_array_equal(both.lines[-1].get_ydata(), once.curves["mixing"][0])
    assert both.lines[0].get_xdata()[-1] == 1
    with pytest.raises(InvalidArgumentError, match="metric must be one of concentration"):
        dl.draw_stages(found, "kl")
    with pytest.raises(InvalidArgumentError, match="feed_forward must be an InferenceStages; got TorchMap"):
        dl.draw_stages(found, feed_forward=M)


@pytest.mark.slow
def test_regimes_of_an_ablation_are_bars_that_add_up():
    found = dl.ablate(injection=["add", "concat"], layers=2, width=16, heads=2, tokens=3, seeds=2, loops=32)
    ax = dl.draw_ablation(found)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == list(found.regimes)
    widths = np.array([[bar.get_width() for bar in one] for one in ax.containers if hasattr(one, "patches")])
    np.testing.assert_allclose(widths, found.share.T)
    np.testing.assert_allclose(widths.sum(axis=0), 1)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["add", "concat"]
    assert any(text.get_text().startswith(f"{found.closure[0]:.2g}") for text in ax.texts)
