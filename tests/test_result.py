"""Result records: what is saved is what is loaded, nothing is pickled, and a bad file is told in one line."""

import json
import pickle
import zipfile
from dataclasses import FrozenInstanceError, dataclass
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import CheckpointError, InvalidArgumentError
from dynloop.orbits.verdict import Regime
from dynloop.result import Result, Status, load
from dynloop.testing import MapReport
from tests.views.made import made


def report(**fields):
    blank: dict[str, Any] = {"map": "m", "gaps": {}, "tolerances": {}, "skipped": {}, "settings": {}}
    return MapReport(**{**blank, **fields})


def round_trip(value, folder):
    return load(report(settings={"value": value}).save(folder / "record")).settings["value"]


# -- round trip --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -1.5, float("inf"), "Hénon ‖x‖", {"a": {"b": 1}}, (), ("x", (1, 2)), Regime.CYCLIC, Status.SLOW],
    ids=str,
)
def test_values_survive(value, tmp_path):
    found = round_trip(value, tmp_path)
    assert found == value
    assert type(found) is type(value)


def test_enum_members_are_the_same_objects(tmp_path):
    assert round_trip(Regime.RAY, tmp_path) is Regime.RAY


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.array(2.5),
        np.zeros((0, 4)),
        np.array([np.nan, np.inf, -0.0]),
        np.array([1, 2], dtype=np.int64),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(["a", "bcd"]),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
    ],
    ids=["matrix", "scalar", "empty", "nan", "int", "bool", "complex", "text", "transposed"],
)
def test_arrays_survive_with_their_dtype(array, tmp_path):
    found = round_trip(array, tmp_path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_object_arrays_of_members_survive(tmp_path):
    regimes = np.empty((2, 2), dtype=object)
    regimes[:] = [[Regime.RAY, Regime.DRIFT], [Regime.CYCLIC, Regime.UNDECIDED]]
    found = round_trip(regimes, tmp_path)
    assert found.shape == (2, 2)
    assert (found == regimes).all()


def test_tensors_come_back_as_float64_arrays(tmp_path):
    torch = pytest.importorskip("torch")
    found = round_trip(torch.tensor([1.5, 2.0], dtype=torch.bfloat16, requires_grad=True), tmp_path)
    assert found.dtype == np.float64
    assert found.tolist() == [1.5, 2.0]


def test_records_within_records_survive(tmp_path):
    found = round_trip(report(map="inner", gaps={"rows": 1e-15}), tmp_path)
    assert isinstance(found, MapReport)
    assert found.map == "inner"
    assert found.gaps == {"rows": 1e-15}


def test_nan_survives(tmp_path):
    assert np.isnan(round_trip(float("nan"), tmp_path))


def test_the_suffix_is_added_once_and_an_old_file_is_replaced(tmp_path):
    assert report().save(tmp_path / "a") == tmp_path / "a.npz"
    assert report(map="new").save(tmp_path / "a.npz") == tmp_path / "a.npz"
    assert load(tmp_path / "a.npz").map == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_arrays_can_be_read_by_numpy_alone(tmp_path):
    path = report(settings={"x": np.arange(3)}).save(tmp_path / "a")
    with np.load(path) as archive:
        assert archive["a0"].tolist() == [0, 1, 2]


# -- reading and printing ----------------------------------------------------------------------------------------------


def test_to_dict_is_plain():
    regimes = np.array([Regime.RAY, Regime.CYCLIC], dtype=object)
    found = report(settings={"regime": Regime.RAY, "all": regimes, "inner": report()}).to_dict()
    assert list(found) == ["map", "gaps", "tolerances", "skipped", "settings"]
    assert found["settings"]["regime"] == "RAY"
    assert found["settings"]["all"].tolist() == ["RAY", "CYCLIC"]
    assert found["settings"]["inner"]["map"] == "m"


def test_repr_fits_a_terminal():
    text = repr(report(settings={"x": np.zeros((100, 3)), "long": "a" * 500}))
    assert text.startswith("MapReport\n  map: 'm'\n")
    assert max(map(len, text.splitlines())) <= 120


class Elements(HTMLParser):
    """Names and attributes of the elements of a text, and its words."""

    def __init__(self, text):
        super().__init__()
        self.names, self.attributes, self.words = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.words.append(data)


EVIL = """<script>alert(1)</script><img src=x onerror='alert(1)'>\"&"""


def test_in_a_notebook_a_record_is_a_small_table_that_shows_text_as_it_is():
    regimes = np.array([Regime.CYCLIC] * 3 + [Regime.RAY], dtype=object)
    found = report(map=EVIL, gaps={EVIL: EVIL}, settings={"regimes": regimes, "many": np.zeros(999)})
    page = Elements(found._repr_html_())
    assert set(page.names) == {"div", "b", "table", "tbody", "tr", "th", "td"}
    assert page.attributes <= {"scope", "style"}  # nothing is loaded, nothing runs
    assert page.words[0] == "MapReport"
    assert EVIL in page.words
    assert page.names.count("tr") == 5


def test_the_summary_stands_first_and_fields_are_said_in_a_few_words():
    found = made([Regime.PERIODIC, Regime.PERIODIC, Regime.VANISHING])
    page = Elements(found._repr_html_())
    assert page.words[:2] == ["Classification", f" {found.summary()}"]
    said = dict(zip(page.words[2::2], page.words[3::2], strict=True))
    assert said["regime"] == "PERIODIC ×2, VANISHING ×1"
    assert said["period"] == "[ 2, 2, -1]"
    assert said["evidence"] == "Evidence"
    assert max(map(len, said.values())) <= 100


@pytest.mark.parametrize(
    "make",
    [
        lambda: dl.find_fixed_points(dl.zoo.henon(), [[0.6, 0.2]]),
        lambda: dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=64),
        lambda: dl.trajectory(dl.zoo.henon(), [0.1, 0.1], 5),
        report,
    ],
    ids=["fixed points", "exponents", "trajectory", "report"],
)
def test_every_kind_of_record_has_a_table(make):
    found = make()
    page = Elements(found._repr_html_())
    assert page.words[0] == type(found).__name__
    assert page.names.count("tr") == len(found.__dataclass_fields__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plain(Result):
    x: Any


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spoken(Result):
    x: Any

    def __repr__(self):
        return "spoken"


def test_a_record_prints_itself_by_the_base_unless_it_has_a_repr_of_its_own():
    assert repr(Plain(x=np.zeros(9))) == "Plain\n  x: array of shape (9,), float64"
    assert repr(Spoken(x=1)) == "spoken"


def test_records_are_frozen():
    with pytest.raises(FrozenInstanceError):
        report().map = "other"


def test_every_status_is_a_sentence_of_its_own():
    assert len({status.value for status in Status}) == len(Status)
    assert all(len(status.value) > 20 for status in Status)


# -- bad files ---------------------------------------------------------------------------------------------------------


def bad(path, tree, **members):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("record.json", tree if isinstance(tree, str) else json.dumps(tree))
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no result file at .*nowhere.npz"):
        load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_a_truncated_file_is_named(tmp_path, cut):
    path = report(settings={"x": np.arange(100.0)}).save(tmp_path / "a")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="not a result that dynloop saved"):
        load(path)


def test_every_flipped_byte_is_told_or_harmless(tmp_path):
    path = report(settings={"x": np.arange(40.0)}).save(tmp_path / "a")
    whole = path.read_bytes()
    for i in range(0, len(whole), 7):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
        try:
            found = load(path)
        except CheckpointError:
            continue
        assert found.settings["x"].tolist() == list(range(40))


@pytest.mark.parametrize(
    "tree",
    [
        "{",
        [],
        {"kind": "dict", "items": {}},
        {"kind": "result"},
        {"kind": "result", "class": "os:system", "fields": {}},
        {"kind": "result", "class": "dynloop_evil.module:Thing", "fields": {}},
        {"kind": "result", "class": "dynloop.result:os", "fields": {}},
        {"kind": "result", "class": "dynloop.nowhere:Thing", "fields": {}},
        {"kind": "result", "class": "dynloop.result:Status", "fields": {}},
        {"kind": "result", "class": "dynloop.maps.kernel:KernelMap", "fields": {}},
        {"kind": "result", "class": "dynloop.testing.conformance:MapReport", "fields": {"map": "m"}},
        {"kind": "result", "class": "dynloop.testing.conformance:MapReport", "fields": []},
        {"kind": "enum", "class": "dynloop.result:Status", "name": "NOWHERE"},
        {"kind": "array", "key": "a7"},
    ],
    ids=range(14),
)
def test_a_foreign_record_is_refused(tree, tmp_path):
    with pytest.raises(CheckpointError, match="not a result that dynloop saved") as caught:
        load(bad(tmp_path / "bad.npz", tree))
    assert "\n" not in str(caught.value)


def test_a_pickle_is_never_loaded(tmp_path):
    array = np.empty(1, dtype=object)
    array[0] = Trap()
    np.save(tmp_path / "trap.npy", array, allow_pickle=True)
    tree = {"kind": "array", "key": "a0"}
    for content in ((tmp_path / "trap.npy").read_bytes(), pickle.dumps(Trap())):
        with pytest.raises(CheckpointError):
            load(bad(tmp_path / "bad.npz", tree, a0=content))


def test_a_folder_is_not_a_result(tmp_path):
    with pytest.raises(CheckpointError):
        load(tmp_path)


def test_what_has_no_form_in_json_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InvalidArgumentError, match="a result holds a function"):
        report(settings={"f": test_nan_survives}).save(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot write .*writable folder"):
        report().save(tmp_path / "missing" / "a")


def test_dl_load_is_this_load():
    assert dl.load is load
