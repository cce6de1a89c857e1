"""That all of the expected values are held, and those that no other test is made for."""

from __future__ import annotations

from expected import HERE, oracle
from layer_harness import make
from test_layers_arrangement import ORACLE as ARRANGEMENTS
from test_layers_pointwise import COUNTED
from test_layers_windows import ENTRIES

import archdsl
from archdsl.layers.shapes import Shape

OPERATIONS = {entry["id"]: entry for entry in oracle("ops")}


def test_every_file_is_described_and_used() -> None:
    files = {path.stem for path in (HERE / "oracle").glob("*.json")}
    readme = (HERE / "oracle" / "README.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.py"))
    for name in files:
        assert f"`{name}.json`" in readme
        assert f'oracle("{name}")' in tests


def test_every_operation_is_held() -> None:
    elsewhere = {entry["id"] for entry in (*ARRANGEMENTS, *COUNTED, *ENTRIES)}
    assert set(OPERATIONS) - elsewhere == {"linear-266", "params-280", "error_rank-290"}


def test_a_linear_layer() -> None:
    """torch's acts on the last axis of anything; here a map has to be flattened, or convolved."""
    entry = OPERATIONS["linear-266"]
    (*outer, features), arguments = entry["inputs"][0], entry["args"]
    layer, x = make("linear", features=arguments["out"], bias=arguments["bias"]), Shape((features,))
    assert features == arguments["inf"]
    assert [*outer, *layer.shape(x)] == entry["output"]
    assert sum(shape.count for shape in layer.weights(x).values()) == entry["params"] == entry["trainable"]
    times = 1
    for extent in outer:
        times *= extent
    assert times * int(layer.macs(x)) == entry["macs_with_batch"]


def test_a_tied_weight_with_biases_of_its_own_at_each_use() -> None:
    entry = OPERATIONS["params-280"]
    report = archdsl.loads(
        f"""network Tied {{
          input x: {entry["inputs"][0][1:]}
          shared tied: conv(4, kernel=3, padding=1, bias=false)
          first: parameter([4, 1, 1])
          second: parameter([4, 1, 1])
          from x -> tied -> add(first) -> tied -> add(second)
        }}"""
    ).report()
    found = report.to_dict()
    totals = found["totals"]
    assert totals["parameters"] == totals["trainable"] == entry["params"] == entry["trainable"]
    assert (totals["macs"], totals["buffers"]) == (entry["macs_with_batch"], entry["buffers"])
    assert found["layers"][-1]["shape"] == entry["output"][1:]


def test_one_batch_norm_for_any_number_of_axes() -> None:
    """torch's BatchNorm2d refuses [3, 8, 8]; to the language it is a batch of three signals of 8 maps."""
    entry = OPERATIONS["error_rank-290"]
    assert entry["error"]["category"] == "rank_mismatch"
    x = Shape(entry["inputs"][0][1:])
    assert make("batch_norm").shape(x) == x
