"""The catalogue of problems: everything that can be wrong with a file, a module a family."""

from archdsl.problems import (
    arrangement,
    bounds,
    expectations,
    layers,
    lowering,
    names,
    syntax,
    training,
    values,
)
from archdsl.problems.problem import CATALOGUE, Fault, Problem, extents, listed, nearest, plural

__all__ = [
    "CATALOGUE",
    "Fault",
    "Problem",
    "arrangement",
    "bounds",
    "expectations",
    "extents",
    "layers",
    "listed",
    "lowering",
    "names",
    "nearest",
    "plural",
    "syntax",
    "training",
    "values",
]
