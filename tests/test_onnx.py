"""ONNX: what is written computes what torch does, in the names of the file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import archdsl
from archdsl.cli.main import archdsl as command
from archdsl.lowering.onnx import NotExported, export

SEVERAL = """network Several {
  input left: [2, 16, 16]
  input right: [2, 16, 16]
  shared tower: conv(4, kernel=3, stride=2, padding=same) -> batch_norm -> relu
  a: from left -> tower
  b: from right -> tower
  joined: from a, b -> concat -> conv_transpose(3, kernel=4, stride=2, padding=1)
  scores: global_avg_pool -> flatten -> linear(5) -> softmax
  output scores, joined
}"""


HIDING = """network Hiding {
  input x: [1, 12, 15]
  forward: conv(3, 3, dilation=[1, 2]) -> relu
  type: max_pool([2, 3], stride=[4, 2], padding=1, ceil=true, dilation=[1, 2])
  training: batch_norm -> conv(2, [1, 2])
}"""
"""Labels that torch's modules have for themselves. Along the rows ONNX would count a window too many, which
begins behind the samples, and along the columns it would not."""
VOLUME = "network Volume {\n  input x: [2, 4, 6, 9]\n  pooled: adaptive_avg_pool([2, 1, 3]) -> flatten\n}"


FILES = ["mnist1d_conv.arch", "lenet5.arch:LeNet5", "unet.arch", SEVERAL, HIDING, VOLUME]


@pytest.mark.parametrize("file", FILES)
def test_the_graph_computes_what_torch_does(tmp_path: Path, file: str) -> None:
    net = archdsl.loads(file) if file.startswith("network") else _load(file)
    model = net.build().eval()
    assert export(net.network, model, tmp_path / "net.onnx") < 1e-4
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert [one.name for one in graph.input] == [node.name for node in net.network.inputs]
    assert [one.name for one in graph.output] == net.network.output_names
    assert {one.name for one in graph.initializer if "." in one.name} <= set(model.state_dict())
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    inputs = [torch.randn(4, *node.shape) for node in net.network.inputs]
    found = session.run(None, {n.name: x.numpy() for n, x in zip(net.network.inputs, inputs, strict=True)})
    with torch.no_grad():
        result = model(*inputs)
    for one, wanted in zip(found, result if isinstance(result, tuple) else (result,), strict=True):
        np.testing.assert_allclose(one, wanted.numpy(), rtol=1e-3, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def _load(file: str) -> archdsl.Net:
    inputs = {"image": (1, 188, 188)} if file == "unet.arch" else None
    return archdsl.load(file, inputs=inputs)


def test_a_run_has_its_trained_weights(tmp_path: Path) -> None:
    runner = CliRunner()
    settings = ["--set", "train.steps=5", "--out", str(tmp_path / "run")]
    runner.invoke(command, ["train", "mnist1d_conv.arch", *settings], standalone_mode=False)
    out = str(tmp_path / "net.onnx")
    done = runner.invoke(
        command, ["export", str(tmp_path / "run"), "--to", "onnx", "-o", out], standalone_mode=False
    )
    assert done.return_value == 0, done.output
    assert "onnxruntime computes what torch does" in done.output
    weights = load_file(tmp_path / "run/weights.safetensors")
    model = archdsl.load("mnist1d_conv.arch").build().eval()
    model.load_state_dict(weights)
    x = torch.randn(3, 1, 40)
    found = onnxruntime.InferenceSession(out).run(None, {"signal": x.numpy()})[0]
    np.testing.assert_allclose(found, model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_open_sizes_stay_open(tmp_path: Path) -> None:
    text = """network Open {
      input image: [3, H, W]
      fine: conv(4, kernel=3, padding=same) -> relu
      coarse: max_pool(2) -> conv(4, kernel=3, padding=same) -> upsample(2)
      from fine, coarse -> concat -> conv(2, 1)
    }"""
    net = archdsl.loads(text)
    model = net.build().eval()
    assert export(net.network, model, tmp_path / "net.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert session.get_inputs()[0].shape == ["N", 3, "H", "W"]
    x = torch.randn(1, 3, 62, 34)
    (found,) = session.run(None, {"image": x.numpy()})
    np.testing.assert_allclose(found, model(x).detach().numpy(), rtol=1e-3, atol=1e-5)


def test_a_size_that_onnx_can_not_leave_open_is_said(tmp_path: Path) -> None:
    net = archdsl.loads("network Open {\n  input x: [1, L]\n  max_pool(2)\n}")
    with pytest.raises(NotExported, match=r"can't leave L open here \(.+\): give `--size L=...`"):
        export(net.network, net.build(), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_open_sizes_that_depend_on_one_another_stay_open(tmp_path: Path) -> None:
    text = """network Open {
      input fine: [3, H, W]
      input coarse: [4, K, W // 2]
      half: from fine -> conv(4, kernel=3, stride=2, padding=1)
      from half, coarse -> concat -> conv(2, 1)
    }"""
    net = archdsl.loads(text)
    model = net.build().eval()
    assert export(net.network, model, tmp_path / "net.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    fine, coarse = torch.randn(1, 3, 31, 90), torch.randn(1, 4, 16, 45)
    (found,) = session.run(None, {"fine": fine.numpy(), "coarse": coarse.numpy()})
    np.testing.assert_allclose(found, model(fine, coarse).detach().numpy(), rtol=1e-3, atol=1e-5)


def test_open_sizes_that_fit_for_one_number_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "open.arch").write_text("network Open {\n  input a: [3, H]\n  reshape([6, 20])\n}")
    arguments = ["export", str(tmp_path / "open.arch"), "--to", "onnx", "-o", str(tmp_path / "net.onnx")]
    refused = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert refused.return_value == 1
    assert "no two numbers that fit were found for H: give `--size H=...`" in refused.output
    assert not (tmp_path / "net.onnx").exists()
    sized = CliRunner().invoke(command, [*arguments, "--size", "H=40"], standalone_mode=False)
    assert sized.return_value == 0, sized.output


def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is exported is another module than what it is held against."""
    net = archdsl.load("mnist1d_conv.arch")
    (tmp_path / "net.onnx").write_bytes(b"what was there")
    other = net.build()
    true_export = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda model, *a, **k: true_export(other.eval(), *a, **k))
    with pytest.raises(NotExported, match="computes something else"):
        export(net.network, net.build(), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"what was there"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    net = archdsl.load("mnist1d_conv.arch")
    with pytest.raises(NotExported, match=r"pip install 'archdsl\[onnx\]'"):
        export(net.network, net.build(), tmp_path / "net.onnx")


def test_a_layer_that_onnx_lacks_is_named(tmp_path: Path) -> None:
    net = archdsl.loads("network N {\n  input x: [1, 16, 16]\n  scattering(2) -> flatten -> linear(3)\n}")
    with pytest.raises(
        NotExported, match=r"no form of `scattering_1` \(scattering\): it has no complex numbers"
    ):
        export(net.network, net.build(), tmp_path / "n.onnx")
    uneven = archdsl.loads(VOLUME.replace("4, 6", "5, 6"))
    with pytest.raises(NotExported, match=r"_adaptive_avg_pool3d` as `pooled.adaptive_avg_pool` uses it"):
        export(uneven.network, uneven.build(), tmp_path / "n.onnx")
    assert not list(tmp_path.iterdir())
