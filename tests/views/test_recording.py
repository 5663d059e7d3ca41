"""What a record says of the map that made it, in Python and after it was saved."""

import numpy as np

import dynloop as dl
from dynloop.orbits.trajectory import Trajectory
from dynloop.views.recording import recording


def test_a_classification_knows_the_tokens_and_a_summary_leaves_them_to_each_prompt(tmp_path):
    found = dl.classify_prompts("demo:hop-injected", [[1, 2, 3], [4, 5]], loops=64)
    assert [len(one.settings["tokens"]) for one in found.results] == [3, 2]
    assert "tokens" not in found.settings
    back = dl.load(found.save(tmp_path / "s"))
    assert back.results[1].settings["tokens"] == found.results[1].settings["tokens"]
    assert "tokens" not in dl.classify(dl.zoo.logistic(2.5), [[0.3]]).settings


def test_a_trajectory_knows_its_map_and_whether_it_has_a_batch_axis(tmp_path):
    m = dl.zoo.circle()
    for start, batch in (([0.1], 1), ([[0.1], [0.2]], 2)):
        found = dl.load(dl.trajectory(m, start, 6, sections=True).save(tmp_path / "t"))
        of = recording(found)
        assert of.states.shape == (7, batch, 1)
        assert of.sections.shape == (m.layer_count + 1, batch, 1)
        assert (of.layers, of.dtype) == (m.layer_names, "float64")
        np.testing.assert_array_equal(of.periods, m.periods)


def test_a_record_made_by_hand_has_a_batch_axis_if_it_has_three():
    assert recording(Trajectory(states=np.ones((4, 3)), times=np.arange(4))).states.shape == (4, 1, 3)
    assert recording(Trajectory(states=np.ones((4, 2, 3)), times=np.arange(4))).states.shape == (4, 2, 3)
