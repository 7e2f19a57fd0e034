"""Where every application of Hydra looks for plugins: the launchers and the search of :mod:`crossreid.multirun`.

There is no ``__init__.py`` beside this file: the package ``hydra_plugins`` is shared by all that bring plugins.
"""

from crossreid.multirun.launcher import SideBySide
from crossreid.multirun.reproduction import ReproductionSweep
from crossreid.multirun.slurm import Slurm
from crossreid.multirun.sweeper import OptunaSearch

__all__ = ["OptunaSearch", "ReproductionSweep", "SideBySide", "Slurm"]
