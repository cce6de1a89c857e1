"""Networks that keep turns, reflections or scale: parameters by hand, certificates, and turned pictures."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from expected import ARCHITECTURES, report
from test_equivariance import lowered
from test_symmetry import moved

import archdsl

Parameters = dict[str, Any]


def network(file: str, name: str, **parameters: Any) -> archdsl.Net:
    return archdsl.load(ARCHITECTURES / file, network=name, parameters=parameters)


# ------------------------------------------------------------------------------ turns and reflections

CLAIMS: list[tuple[str, str, Parameters, dict[str, str]]] = [
    # file, network, parameters, and the layer at which each motion's claim ends, where it does
    ("group_equivariant.arch", "Z2CNN", {}, {"rotation": "layer1", "reflection": "layer1"}),
    ("group_equivariant.arch", "P4CNN", {}, {"reflection": "layer1"}),
    ("group_equivariant.arch", "P4CNN", {"group": "p4m", "channels": 7}, {}),
    ("harmonic.arch", "HNet", {}, {"reflection": "block1"}),
    ("polar_transformer.arch", "PTNS", {}, {"rotation": "origin", "reflection": "origin"}),
    ("polar_transformer.arch", "PTNS", {"angles": 32}, {"rotation": "origin", "reflection": "origin"}),
    ("polar_transformer.arch", "PCNNS", {}, {"rotation": "logits", "reflection": "polar"}),
    ("polar_transformer.arch", "PCNNS", {"angles": 32}, {"reflection": "polar"}),
    ("scattering.arch", "ScatteringNetwork", {}, {"rotation": "coefficients", "reflection": "coefficients"}),
    ("scale_invariant.arch", "SIConvNet", {}, {"rotation": "conv1", "reflection": "conv1"}),
]


@pytest.mark.parametrize(
    ("file", "name", "parameters", "ends"), CLAIMS, ids=lambda value: str(value).replace(".arch", "")
)
def test_what_is_claimed_of_logits_holds(
    file: str, name: str, parameters: Parameters, ends: dict[str, str]
) -> None:
    """Where logits are said to be invariant they are, in float64; where not, they change."""
    net = network(file, name, **parameters)
    claims = net.report().to_dict()["layers"][-1]["equivariance"]
    model = lowered(net)
    torch.manual_seed(2)
    x = torch.rand(2, 1, 28, 28, dtype=torch.float64)
    with torch.no_grad():
        y = model(x)
        for motion in ("rotation", "reflection"):
            there = model(moved(motion, x))
            claim = claims[motion]
            if motion in ends:
                assert claim["answer"] == "none"
                assert claim["ended_by"].split(".")[0] == ends[motion]
                assert (there - y).abs().max() > 1e-3 * y.abs().max()
            else:
                assert (claim["answer"], claim["exact"], claim["ended_by"]) == ("invariant", True, None)
                torch.testing.assert_close(there, y, rtol=1e-9, atol=1e-9)


def test_a_half_step_of_angles_ends_the_ring() -> None:
    """28 angles have quarters of 7, and a step of 2 divides none of them; 32 have 8."""
    ended = network("polar_transformer.arch", "PCNNS").report().to_dict()["layers"][-1]["equivariance"]
    assert ended["rotation"]["ended_by"] == "logits.RingConv_2.conv_1"
    assert (ended["scale"]["answer"], ended["scale"]["exact"]) == ("invariant", False)


def test_of_scale_nothing_is_claimed_but_of_polar_maps() -> None:
    for file, name, parameters, _ in CLAIMS:
        claim = network(file, name, **parameters).report().to_dict()["layers"][-1]["equivariance"]["scale"]
        assert claim["answer"] == ("invariant" if name == "PCNNS" else "none")


def test_a_harmonic_network_is_about_blind_to_any_turn() -> None:
    """A smooth picture, drawn anew at 30 degrees: the logits differ less than those of another picture."""
    model = lowered(network("harmonic.arch", "HNet"))
    place = torch.arange(28, dtype=torch.float64) - 13.5
    down, right = torch.meshgrid(place, place, indexing="ij")

    def drawn(angle: float, across: float) -> torch.Tensor:
        turn = torch.tensor(angle, dtype=torch.float64).deg2rad()
        u, v = (
            turn.cos() * right + turn.sin() * down - 3,
            turn.cos() * down - turn.sin() * right,
        )
        return torch.exp(-(u**2) / 18 - v**2 / (2 * across**2))[None, None]

    with torch.no_grad():
        still, turned, other = (model(drawn(*which)) for which in ((0, 2), (30, 2), (0, 4)))
    assert (turned - still).norm() < 0.25 * (other - still).norm()


# ------------------------------------------------------------------------------ by hand


def totals(file: str, name: str, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = network(file, name, **parameters).report().to_dict()["totals"]
    return found


def test_group_networks_by_hand() -> None:
    extents = [24, 10, 8, 6, 4]  # of layers 2 to 6
    positions = sum(n * n for n in extents)
    z2, p4 = (report("group_equivariant.arch", name)["totals"] for name in ("Z2CNN", "P4CNN"))
    assert z2["parameters"] == (9 * 20 + 20) + 5 * (20 * 20 * 9 + 20) + (20 * 10 * 16 + 10) + 6 * 2 * 20
    assert z2["macs"] == 20 * 9 * 26**2 + 20 * 20 * 9 * positions + 20 * 10 * 16
    assert p4["parameters"] == (9 * 10 + 10) + 5 * (10 * 40 * 9 + 10) + (40 * 10 * 16 + 10) + 6 * 2 * 10
    assert p4["macs"] == 40 * 9 * 26**2 + 40 * 40 * 9 * positions + 40 * 40 * 16
    # Half as many features have four members each: twice as many channels, four times the work.
    p4m = totals("group_equivariant.arch", "P4CNN", group="p4m", channels=7)
    assert p4m["parameters"] == (9 * 7 + 7) + 5 * (7 * 56 * 9 + 7) + (56 * 10 * 16 + 10) + 6 * 2 * 7


def test_harmonic_network_by_hand() -> None:
    """An image map and each stream have 3 numbers and a phase, complex pairs of maps four times as many."""
    widths = [8, 8, 16, 16, 32, 32, 10]
    pairs = sum(one * next_ for one, next_ in itertools.pairwise(widths))
    norms = sum(2 * width for width in widths[:6:2]) + sum(2 * 2 * width for width in widths[1:6:2])
    assert report("harmonic.arch", "HNet")["totals"]["parameters"] == 2 * 8 * 4 + 4 * 4 * pairs + norms + 10
    kinds = [layer["kind"] for layer in report("harmonic.arch", "HNet")["layers"]]
    assert kinds.count("harmonic_relu") == kinds.count("harmonic_norm") == 3


def test_polar_networks_by_hand() -> None:
    """The large one has what the authors' program prints: 131,959."""
    found = {
        name: report("polar_transformer.arch", name)["totals"]["parameters"]
        for name in ("PTNS", "PTNB", "PCNNS")
    }

    def body(widths: list[int]) -> int:
        """Convolutions with biases, and batch normalisations."""
        return sum(9 * one * next_ + 3 * next_ for one, next_ in itertools.pairwise([1, *widths]))

    origin = body([20, 20, 20]) + 20 + 1
    small, big = [20] * 6, [16, 16, 32, 32, 32, 64, 64, 64]
    assert found["PCNNS"] == body(small) + 9 * 20 * 10 + 10
    assert found["PTNS"] == found["PCNNS"] + origin
    assert found["PTNB"] == body(big) + 9 * 64 * 10 + 10 + origin == 131_959


def test_scale_invariance_has_no_parameters_of_its_own() -> None:
    six = report("scale_invariant.arch", "SIConvNet")["totals"]
    one = totals("scale_invariant.arch", "SIConvNet", scales=[1])
    assert (
        six["parameters"]
        == one["parameters"]
        == (36 * (49 + 1) + 64 * (36 * 25 + 1) + 150 * (576 + 1) + 10 * 151)
    )
    # The extents at the six scales, each rounded down, and what a kernel of 7 or 5 leaves of them.
    first, second = [28, 17, 22, 35, 44, 56], [11, 6, 8, 13, 17, 22]
    linear = 150 * 576 + 10 * 150
    assert six["macs"] == (
        36 * 49 * sum((n - 6) ** 2 for n in first) + 64 * 36 * 25 * sum((n - 4) ** 2 for n in second) + linear
    )
    assert one["macs"] == 36 * 49 * 22**2 + 64 * 36 * 25 * 7**2 + linear


def test_scattering_learns_nothing_but_its_classifier() -> None:
    for name in ("ScatteringNetwork", "RotationScattering"):
        layers = report("scattering.arch", name)["layers"]
        assert [layer["name"] for layer in layers if layer["parameters"]] == ["logits"]
