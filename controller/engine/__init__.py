"""Engine that runs a plan: states, checkpoints, pause, resume, stop, prompts.

Other packages need :class:`Engine` alone; see :mod:`controller.engine.engine`.
"""

from controller.engine.engine import Engine

__all__ = ["Engine"]
