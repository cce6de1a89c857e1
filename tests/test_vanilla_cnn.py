"""A very deep plain network learns where its kernels begin delta-orthogonal, and not otherwise."""

from __future__ import annotations

from pathlib import Path

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.training.loop import train

DEPTH = 60


def error(initialize: str, folder: Path) -> float:
    """The training error after 50 steps (Xiao et al., 2018, Figure 1, with fewer layers)."""
    net = archdsl.load("vanilla_cnn.arch", parameters={"depth": DEPTH, "channels": 8})
    settings = {"steps": "50", "batch": "25", "measurements": "1", "initialize": initialize}
    recipe, found = read_recipe(net.network.train, net.network, settings)
    assert recipe is not None and not found
    return train(net.network, recipe, folder).measured.training[0]


def test_it_learns_with_delta_orthogonal_kernels_alone(tmp_path: Path) -> None:
    assert error("delta_orthogonal", tmp_path / "orthogonal") < 0.3
    assert error("xavier", tmp_path / "random") > 0.6
