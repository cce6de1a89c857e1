"""What one file may ask of the machine. Past each of these there is a diagnostic, not a hang."""

LAYERS = 200_000
"""Layers of a network, unrolled."""

STEPS = 600_000
"""Statements, rounds, calls and computed list elements of one file; a step takes up to 30 microseconds."""

NESTING = 100
"""Blocks used inside blocks."""

LIST = 100_000
"""Elements of a list, those of its inner lists included."""

NUMBER = 2**63 - 1
"""The magnitude of a whole number: what an int64 holds of either sign, and what Python counts by `len`."""

ELEMENTS = 2**53
"""Elements of a value: what a float64 counts exactly, and far beyond any memory."""

IMPORTS = 100
"""Files imported by one file, directly and through others."""

PROBLEMS = 100
"""Problems reported of one file."""

PYTHON_FRAMES = 100_000
"""Frames of the interpreter that nested blocks and groups need: NESTING times what one body may nest."""
