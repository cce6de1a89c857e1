"""MNIST-1D: 5,000 signals of ten classes, generated from twelve-point templates.

The published generator of Greydanus and Kobak ("Scaling Down Deep Learning with MNIST-1D", ICML
2024; the package `mnist1d`), over numpy alone: the package needs scipy, matplotlib and requests. The
numbers are drawn in the same order and computed with the same operations, so the signals are the
package's bit for bit, and nothing is downloaded.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CLASSES = 10
EXAMPLES = 5_000
LENGTH = 40

SEED = 42
PADDING = (36, 60)
"""The least and the most zeros after the template."""
STRETCHED = 72
"""Samples in which the padded template is noised and moved."""
MAX_TRANSLATION = 48
SCALE = 0.4
SHEAR = 0.75
CORRELATED_NOISE = 0.25
INDEPENDENT_NOISE = 0.02

# fmt: off
TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
# fmt: on


def signals() -> tuple[Array, NDArray[np.int64]]:
    """All 5,000 signals `[5000, 40]`, of mean 0 and standard deviation 1 together, and their classes."""
    random = np.random.RandomState(SEED)
    each = EXAMPLES // CLASSES
    variants = [_Variant.drawn(random) for _ in range(EXAMPLES)]
    x = _varied(np.repeat(_templates(), each, axis=0), variants)
    order = random.permutation(EXAMPLES)
    x, y = x[order], np.repeat(np.arange(CLASSES), each)[order]
    return (x - x.mean()) / x.std(), y


def _templates() -> Array:
    x = np.array(TEMPLATES)
    x -= x.mean(1, keepdims=True)
    x /= x.std(1, keepdims=True)
    x -= x[:, :1]
    scaled: Array = x / 6.0
    return scaled


class _Variant(NamedTuple):
    """What is drawn for one signal, in the order in which it is drawn."""

    zeros: int
    scale: float
    moved: int
    correlated: Array
    independent: Array
    shear: float

    @classmethod
    def drawn(cls, random: np.random.RandomState) -> _Variant:
        low, high = PADDING
        return cls(
            low + int(random.rand() * (high - low + 1)),
            random.rand(),
            random.choice(MAX_TRANSLATION),
            random.randn(STRETCHED),
            random.randn(STRETCHED),
            random.rand(),
        )


def _varied(templates: Array, variants: list[_Variant]) -> Array:
    """Templates padded, stretched, scaled, moved, noised, sheared and sampled: each becomes one signal."""
    zeros, scale, moved, correlated, independent, shear = map(np.array, zip(*variants, strict=True))
    # The tiny offset tells the template's own zeros from the padding, which alone gets noise.
    given = zip(templates + 1e-8, zeros, strict=True)
    x = np.stack([_resampled(np.concatenate([one, np.zeros(n)]), STRETCHED) for one, n in given])
    x *= (1 + SCALE * (scale - 0.5))[:, None]
    x = np.take_along_axis(x, (np.arange(STRETCHED) - moved[:, None]) % STRETCHED, axis=1)
    signal = x != 0
    x = signal * x + (1 - signal) * _smoothed(CORRELATED_NOISE * correlated)
    x = x + INDEPENDENT_NOISE * independent
    x = x - (SHEAR * (shear - 0.5))[:, None] * np.linspace(-0.5, 0.5, STRETCHED)
    return np.stack([_resampled(one, LENGTH) for one in x])


def _resampled(x: Array, length: int) -> Array:
    """`x` at `length` evenly spaced places, by linear interpolation."""
    return np.interp(_places(length), _places(len(x)), x)


@cache
def _places(length: int) -> Array:
    """Numbers from 0 to 1, evenly spaced."""
    return np.linspace(0, 1, length)


def _smoothed(x: Array, sigma: int = 2) -> Array:
    """Each row of `x` under a Gaussian of four deviations to each side, mirrored at its ends.

    The terms are added in the order in which `scipy.ndimage.gaussian_filter` adds them.
    """
    radius = 4 * sigma
    kernel = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    kernel = kernel / kernel.sum()
    padded = np.pad(x, [(0, 0), (radius, radius)], mode="symmetric")
    length = x.shape[1]
    smooth: Array = padded[:, radius : radius + length] * kernel[radius]
    for offset in range(radius, 0, -1):
        left = padded[:, radius - offset : radius - offset + length]
        right = padded[:, radius + offset : radius + offset + length]
        smooth = smooth + (left + right) * kernel[radius - offset]
    return smooth
