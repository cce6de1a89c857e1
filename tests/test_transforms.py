"""Transforms of examples: against what they say, and against computations of another kind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from archdsl.problems import Fault
from archdsl.recipes.transforms import (
    PCA_VALUES,
    PCA_VECTORS,
    CenterCrop,
    ColorJitter,
    Cutout,
    FiveCrop,
    HorizontalFlip,
    Mixup,
    Normalize,
    Pad,
    PcaColor,
    PermutePositions,
    RandomCrop,
    RandomResizedCrop,
    RandomScaleCrop,
    Resize,
    TenCrop,
    Transform,
)
from archdsl.training.draws import Draws

SHAPES = ((3, 24, 30), (1, 40), (2, 12, 14, 16))


def applied(transform: Transform, x: Tensor, seed: int = 0) -> Tensor:
    result: Tensor = transform.apply(torch, x, Draws(seed, len(x)))
    return result


def places(x: Tensor) -> Tensor:
    """A batch like `x` whose values tell where they stand."""
    return torch.arange(x[0, 0].numel(), dtype=torch.float).reshape(1, 1, *x.shape[2:]).expand(x.shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "transform",
    [
        RandomCrop.new(size=8),
        RandomCrop.new(size=20, padding=5),
        CenterCrop.new(size=9),
        HorizontalFlip.new(),
        Pad.new(amount=3),
        Cutout.new(size=6),
        PermutePositions.new(seed=7),
        Normalize.new(mean=0.3, std=2.0),
    ],
    ids=str,
)
def test_the_shape_is_the_one_it_says(transform: Transform, shape: tuple[int, ...]) -> None:
    x = torch.rand(5, *shape)
    before = x.clone()
    y = applied(transform, x)
    assert tuple(y.shape) == (5, *transform.shape(shape))
    assert torch.equal(x, before), "what it is given is not changed"
    if transform.chance:
        assert torch.equal(y, applied(transform, x)), "a seed gives the same numbers"
        assert not torch.equal(y, applied(transform, x, seed=1))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_random_crop_is_a_window_of_the_padded_example(shape: tuple[int, ...]) -> None:
    x = torch.rand(40, *shape) + 1
    crop = RandomCrop.new(size=10, padding=2)
    padded = F.pad(x, [2, 2] * (len(shape) - 1))
    y = applied(crop, x)
    starts = set()
    for i in range(len(x)):
        windows = padded[i]
        for axis in range(1, len(shape)):
            windows = windows.unfold(axis, 10, 1)
        flat = windows.flatten(1, len(shape) - 1)
        found = [n for n in range(flat.shape[1]) if torch.equal(flat[:, n], y[i])]
        assert len(found) == 1
        starts.add(found[0])
    assert len(starts) > 15


def test_crops_stand_where_they_say() -> None:
    x = places(torch.empty(2, 3, 7, 9))
    assert applied(CenterCrop.new(size=5), x)[0, 0, 0, 0] == 1 * 9 + 2
    five = applied(FiveCrop.new(size=5), x).unflatten(0, (2, 5))
    assert five[1, :, 0, 0, 0].tolist() == [0, 4, 18, 22, 9 + 2]
    ten = applied(TenCrop.new(size=5), x).unflatten(0, (2, 10))
    assert torch.equal(ten[:, :5], five) and torch.equal(ten[:, 5:], five.flip(-1))


def test_permuted_positions_are_one_order_for_all_examples_and_channels() -> None:
    x = places(torch.empty(2, 3, 8, 5))
    permute = PermutePositions.new(seed=7)
    y = applied(permute, x)
    order = y[0, 0].flatten().long()
    assert sorted(order.tolist()) == list(range(40)) != order.tolist()
    assert torch.equal(y, order.reshape(8, 5).expand(y.shape).float())
    assert torch.equal(y, applied(permute, x, seed=1)), "it is the same at every step"
    assert not torch.equal(y, applied(PermutePositions.new(seed=8), x))
    # A vector's numbers are its positions, and a signal's samples are permuted like them.
    vectors = torch.rand(2, 40)
    assert torch.equal(applied(permute, vectors), vectors[:, order])
    assert torch.equal(applied(permute, vectors.reshape(2, 1, 40))[:, 0], vectors[:, order])
    # As it was, whatever machine: runs and papers can name a seed.
    assert order[:6].tolist() == [5, 35, 12, 19, 15, 10]


def test_flips_happen_as_often_as_they_say() -> None:
    x = torch.rand(2000, 1, 4)
    y = applied(HorizontalFlip.new(probability=0.3), x)
    mirrored = (y == x.flip(-1)).flatten(1).all(1)
    assert ((y == x).flatten(1).all(1) | mirrored).all()
    assert mirrored.float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_cutout_leaves_zeros_of_its_size_and_nothing_else() -> None:
    x = torch.rand(300, 3, 20, 24) + 1
    y = applied(Cutout.new(size=6), x)
    assert ((y == x) | (y == 0)).all()
    cut = (y == 0).flatten(1).sum(1) // 3
    assert cut.max() == 36 and 9 <= cut.min() < 36
    holes = (y[:, 0] == 0).nonzero()
    for i in range(5):
        rows, columns = holes[holes[:, 0] == i][:, 1:].T
        assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)


def test_a_resized_crop_keeps_to_area_and_aspect() -> None:
    """Of a picture of coordinates the crop tells which window it took."""
    rows, columns = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    x = torch.stack([rows, columns]).expand(400, 2, 60, 80)
    y = applied(RandomResizedCrop.new(size=16, scale=(0.2, 0.5), ratio=(0.5, 2.0)), x)
    assert y.shape == (400, 2, 16, 16)
    # Between the middles of the first and the last of 16 samples lie 15 of 16 parts of the window.
    height = (y[:, 0, -1, 0] - y[:, 0, 0, 0]) * 16 / 15
    width = (y[:, 1, 0, -1] - y[:, 1, 0, 0]) * 16 / 15
    inside = (height < 59) & (width < 79)
    share = (height * width / 4800)[inside]
    assert share.min() > 0.19 and share.max() < 0.51
    aspect = (width / height)[inside]
    assert aspect.min() > 0.49 and aspect.max() < 2.05
    assert share.std() > 0.05 and y[:, 0, 0, 0].std() > 3


def test_a_scaled_crop_is_a_window_of_the_resized_picture() -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    x = torch.stack([rows, columns]).expand(300, 2, 64, 64)
    y = applied(RandomScaleCrop.new(size=16, shortest=(32, 64)), x)
    # A picture of 64 at the scale S, of which 16 are cut: the window has 64 * 16 / S of its own pixels.
    extents = (y[:, 0, -1, 0] - y[:, 0, 0, 0]) * 16 / 15
    assert 15.9 < extents.min() < 17 and 30 < extents.max() < 32.1
    torch.testing.assert_close((y[:, 1, 0, -1] - y[:, 1, 0, 0]) * 16 / 15, extents, rtol=1e-3, atol=1e-2)
    assert y[:, 0, 0, 0].min() < 2 and y[:, 0, -1, 0].max() > 61


def test_resizing() -> None:
    x = torch.rand(2, 3, 20, 30)
    expected = F.interpolate(x, size=(8, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(applied(Resize.new(size=8), x), expected)


def test_a_resized_crop_of_everything_is_a_resize() -> None:
    x = torch.rand(3, 3, 32, 32)
    y = applied(RandomResizedCrop.new(size=16, scale=(1.0, 1.0), ratio=(1.0, 1.0)), x)
    expected = F.interpolate(x, size=16, mode="bilinear", align_corners=False)
    torch.testing.assert_close(y, expected)


def test_colour_jitter_by_hand() -> None:
    x = torch.rand(50, 3, 6, 7)
    grey = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    bright = applied(ColorJitter.new(brightness=0.4), x) / x
    factors = bright.flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), rtol=1e-3, atol=1e-3)
    assert 0.6 <= factors.min() < 0.7 and 1.3 < factors.max() <= 1.4
    contrast = applied(ColorJitter.new(contrast=0.5), x)
    mean = (x * grey).sum(1).mean((1, 2))
    torch.testing.assert_close((contrast * grey).sum(1).mean((1, 2)), mean)
    saturation = applied(ColorJitter.new(saturation=0.5), x)
    torch.testing.assert_close((saturation * grey).sum(1), (x * grey).sum(1))
    assert not torch.allclose(saturation, x)
    assert torch.allclose(applied(ColorJitter.new(), x), x)


def test_colours_move_along_the_principal_components() -> None:
    x = torch.rand(4000, 3, 1, 1)
    moved = (applied(PcaColor.new(std=0.1), x) - x).flatten(1)
    vectors, values = torch.tensor(PCA_VECTORS), torch.tensor(PCA_VALUES)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(3), rtol=0, atol=2e-3)
    along = moved @ vectors / values
    assert along.std(0) == pytest.approx([0.1] * 3, rel=0.05)
    assert abs(torch.corrcoef(along.T)[0, 1].item()) < 0.05


def test_normalising_by_channel() -> None:
    x = torch.rand(2, 3, 4, 4)
    y = applied(Normalize.new(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0)), x)
    torch.testing.assert_close(y[:, 2], (x[:, 2] - 0.3) / 4)


def test_mixup_draws_from_its_beta_distribution() -> None:
    shares = torch.tensor([Mixup.new(alpha=0.4).share(Draws(seed, 1)) for seed in range(3000)])
    expected = torch.distributions.Beta(0.4, 0.4)
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shares.var().item() == pytest.approx(expected.variance.item(), rel=0.05)


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (RandomCrop.new(size=41), (1, 40)),
        (CenterCrop.new(size=25), (3, 24, 30)),
        (TenCrop.new(size=8), (1, 40)),
        (PcaColor.new(), (1, 8, 8)),
        (ColorJitter.new(), (1, 40)),
        (RandomResizedCrop.new(size=8), (1, 40)),
        (RandomScaleCrop.new(size=8), (1, 40)),
        (RandomScaleCrop.new(size=300), (3, 512, 512)),
        (Resize.new(size=8), (1, 40)),
        (Normalize.new(mean=(1.0, 2.0)), (3, 8, 8)),
    ],
    ids=str,
)
def test_what_does_not_fit(transform: Transform, shape: tuple[int, ...]) -> None:
    with pytest.raises(Fault):
        transform.shape(shape)


@pytest.mark.parametrize(
    "transform",
    [
        RandomCrop.new(size=20, padding=2),
        RandomResizedCrop.new(size=16),
        RandomScaleCrop.new(size=16, shortest=(16, 24)),
        HorizontalFlip.new(),
        ColorJitter.new(brightness=0.4, contrast=0.4, saturation=0.4),
        PcaColor.new(),
        Cutout.new(size=6),
    ],
    ids=str,
)
def test_an_example_is_transformed_alike_in_a_part_of_its_batch(transform: Transform) -> None:
    """Whichever process it falls to."""
    x = torch.rand(7, 3, 24, 30)
    whole = transform.apply(torch, x, Draws(3, 7))
    parts = [transform.apply(torch, x[part], Draws(3, 7, part)) for part in (slice(0, 4), slice(4, 7))]
    torch.testing.assert_close(torch.cat(parts), whole)
