"""The catalogue of problems: everything that can be wrong with a file, a module a family."""

from archdsl.problems import (
    arguments,
    arrangement,
    bounds,
    expectations,
    files,
    layers,
    lowering,
    names,
    structure,
    syntax,
    training,
    values,
)
from archdsl.problems.problem import CATALOGUE, Fault, Problem, extents, listed, nearest, plural

__all__ = [
    "CATALOGUE",
    "Fault",
    "Problem",
    "arguments",
    "arrangement",
    "bounds",
    "expectations",
    "extents",
    "files",
    "layers",
    "listed",
    "lowering",
    "names",
    "nearest",
    "plural",
    "structure",
    "syntax",
    "training",
    "values",
]
