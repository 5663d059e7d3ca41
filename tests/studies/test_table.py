"""Tables and what they are exported to: CSV, Parquet and xarray hold the same numbers to the last bit."""

import csv
import json
import math

import numpy as np
import pytest

import dynloop as dl
from tests.studies import cells


@pytest.fixture
def grid(tmp_path):
    plan = dl.Plan.grid(cells.mixed, {"x": [0, 1, 2], "name": ["a", "=b,\n"]}, fixed={"scale": 0.1})
    return dl.study(plan, tmp_path / "out")


def test_a_table_reads_as_rows_and_columns(grid):
    table = grid.table()
    assert table.parameters == ("x", "name", "scale")
    assert list(table.columns) == ["x", "name", "scale", "state", "value", "whole", "flag", "text", "result.x", "error"]
    assert len(table) == 6
    assert next(table.rows())["text"] == "<script>a</script>"
    assert table.columns["result.x"] == (0, 0, -1, -1, None, -2)
    assert table.columns["state"][4] == "error"
    assert table.columns["whole"][4] is None


def test_csv(grid, tmp_path):
    table = grid.table()
    path = grid.to_csv(tmp_path / "t.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream))
    assert head == list(table.columns)
    assert [row[1] for row in rows] == list(table.columns["name"])
    values = [row[head.index("value")] for row in rows]
    assert [float(v) if v else None for v in values][:4] == list(table.columns["value"])[:4]
    assert {row[head.index("flag")] for row in rows} == {"true", "false", ""}


def test_parquet(grid, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    read = parquet.read_table(grid.to_parquet(tmp_path / "t.parquet")).to_pydict()
    table = grid.table()
    assert list(read) == list(table.columns)
    for name, values in table.columns.items():
        assert read[name] == list(values)
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith("part")] == []


def test_xarray(grid):
    pytest.importorskip("xarray")
    data = grid.to_xarray()
    assert data["value"].dims == ("x", "name")
    assert data["value"].sel(x=1, name="a").item() == grid.table().columns["value"][2]
    assert math.isnan(data["whole"].sel(x=2, name="a").item())
    assert data["text"].sel(x=2, name="a").item() == ""
    assert data["scale"].item() == 0.1
    assert data["scale"].dims == ()
    assert data.attrs["function"] == "tests.studies.cells:mixed"


def test_xarray_of_a_list(tmp_path):
    pytest.importorskip("xarray")
    plan = dl.Plan.listed(cells.square, [{"x": 1}, {"x": 2, "y": 3}])
    data = dl.study(plan, tmp_path / "out").to_xarray()
    assert data["value"].dims == ("cell",)
    assert data["value"].values.tolist() == [1, 7]
    assert np.isnan(data["y"].values[0])


def test_xarray_of_a_list_has_what_is_fixed_for_all_and_what_some_cells_change(tmp_path):
    pytest.importorskip("xarray")
    fixed = {"y": 5, "function": None, "code": "mine"}
    plan = dl.Plan.listed(cells.anything, [{"x": 1}, {"x": 2, "y": 3}], fixed=fixed)
    data = dl.study(plan, tmp_path / "out").to_xarray()
    assert data["y"].values.tolist() == [5, 3]
    assert (data["code"].item(), data["function"].item()) == ("mine", "")
    assert data.attrs["function"] == "tests.studies.cells:anything"


def test_no_column_hides_another(tmp_path):
    pytest.importorskip("xarray")
    axes = {"x": [1, 2], "state": ["on", "off"], "error": [7], "parameter.error": [8], "result.y": [9]}
    done = dl.study(dl.Plan.grid(cells.anything, axes), tmp_path / "out")
    table = done.table()
    assert table.parameters == ("x", "parameter.state", "parameter.parameter.error", "parameter.error", "result.y")
    assert table.columns["parameter.state"] == ("on", "off", "on", "off")
    assert table.columns["parameter.parameter.error"] == (7,) * 4
    assert table.columns["state"] == ("done",) * 4
    returned = {"result.result.x": "x", "result.x": "r", "y": "y", "result.state": "s"}
    assert {name: table.columns[name][0] for name in returned} == returned
    data = done.to_xarray()
    assert data["y"].dims == table.parameters
    assert data["state"].sel({"x": 2, "parameter.state": "off"}).values.ravel().tolist() == ["done"]
    assert len(table.columns) == len(table.parameters) + 4 + 2


def test_a_table_is_a_record(grid, tmp_path):
    table = grid.table()
    again = dl.load(table.save(tmp_path / "table"))
    assert again.columns == table.columns
    assert json.loads(json.dumps(table.to_dict()))["parameters"] == ["x", "name", "scale"]
    assert "\n  … and" not in repr(table)
    assert "error" in repr(table).splitlines()[1]
