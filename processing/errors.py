"""Errors of processing; each message is one line for the operator.

A message says what is wrong, where, and what to do.
"""

from __future__ import annotations


class ProcessingError(Exception):
    """Processing cannot continue."""


class InputFileError(ProcessingError):
    """A file is missing, damaged or inconsistent with the files beside it."""


class ImpossibleDiameterError(ProcessingError):
    """The given particle diameter is too small for the pixel or too large for the field."""


class ImpossibleSamplingError(ProcessingError):
    """The given crop or bin does not fit the images."""


class TooManyCandidatesError(ProcessingError):
    """There are more candidate particles than the images can decide on."""


class RegistrationRefusedError(ProcessingError):
    """B is not the flipped A, so the two must not be fused."""


class OppositeSenseError(RegistrationRefusedError):
    """B is the flipped A only if the tilt sense of one of the two is reversed."""


class NoStructureError(ProcessingError):
    """These particles have no structure that can be analysed."""


class ResultRefusedError(ProcessingError):
    """The count is refused, so nothing may be concluded from its particles."""


class UnclearPoseError(RegistrationRefusedError):
    """No pose pairs enough particles of A and B to tell why B does not fit A."""


class DeviceError(ProcessingError):
    """The chosen device is missing, or what is needed to use it."""


class ResultsInUseError(ProcessingError):
    """Another process writes the results of this session."""


class ClusterError(ProcessingError):
    """The cluster cannot be started or reached, or lacks what it needs."""


class NoWorkersError(ClusterError):
    """The cluster has had no worker for longer than the operator waits."""


class SchedulerLostError(ClusterError):
    """The scheduler of the cluster does not answer any more."""
