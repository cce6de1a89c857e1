"""Looking inside a network: what excites its units, what they see of a picture, what a layer still tells.

`of_run` reads what is looked at from the folder of a run; `units_of` and `layer_of` are what of it.
"""

from __future__ import annotations

from archdsl.looking.deconvolution import Projection, projections
from archdsl.looking.inversion import Inversion, inversions
from archdsl.looking.stimulus import Stimulus, stimuli
from archdsl.looking.subject import Subject, of_network, of_run
from archdsl.looking.units import Unit, layer_of, units_of
from archdsl.looking.unseen import Unseen

__all__ = [
    "Inversion",
    "Projection",
    "Stimulus",
    "Subject",
    "Unit",
    "Unseen",
    "inversions",
    "layer_of",
    "of_network",
    "of_run",
    "projections",
    "stimuli",
    "units_of",
]
