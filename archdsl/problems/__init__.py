"""The catalogue of problems: everything that can be wrong with a file, a module a family."""

from archdsl.problems import (
    arguments,
    arrangement,
    bounds,
    data,
    expectations,
    files,
    layers,
    lowering,
    names,
    recipes,
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
    "data",
    "expectations",
    "extents",
    "files",
    "layers",
    "listed",
    "lowering",
    "names",
    "nearest",
    "plural",
    "recipes",
    "structure",
    "syntax",
    "training",
    "values",
]
