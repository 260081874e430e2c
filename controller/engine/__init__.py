"""Runs a plan: states, checkpoints, pause, resume, stop, prompts.

:class:`Engine` is all that others need; see :mod:`controller.engine.engine`.
"""

from controller.engine.engine import Engine

__all__ = ["Engine"]
