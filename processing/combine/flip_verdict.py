"""Decision whether the pose in which B fits A best is that of a flipped grid."""

from __future__ import annotations

from processing.combine.coarse import Hypothesis
from processing.combine.pose_fit import PoseFit
from processing.errors import OppositeSenseError, RegistrationRefusedError, UnclearPoseError

SMALLEST_SHARE = 0.4
"""Smallest paired share of the particles for which A and B are the same object."""
CLEAR_SHARE = 0.6
"""Smallest paired share that shows how B was put back. In tilt steps too coarse for a crystal many
particles are in wrong places of its lattice. Half of them fit the mirror image, too."""
MARGIN = 1.02
"""Factor by which another hypothesis must beat the flipped one. It is above 1 because a crystal can
be its own mirror image."""
NEARLY_AS_MANY = 0.8
"""Share of the pairs of the best hypothesis with which the flipped one fits nearly as well."""


def is_beaten(flipped: PoseFit, winner: PoseFit) -> bool:
    """Return true if the winner of all hypotheses fits clearly better than the flipped A."""
    return winner.agreement >= MARGIN * flipped.agreement


def refuse_unless_flipped(flipped: PoseFit, winner: PoseFit) -> None:
    """Refuse any winner that is not the flipped A, and say what fits instead.

    Reversing the tilt sense mirrors a volume along the beam. A flipped grid with the opposite sense
    is therefore the same motion as an unflipped grid with a mirrored scan.

    Raises
    ------
    RegistrationRefusedError
        An unflipped or mirrored B fits better.
    UnclearPoseError
        Too few particles are paired in any pose.
    OppositeSenseError
        B fits with the tilt sense of one series reversed.
    """
    if winner.share < SMALLEST_SHARE:
        raise UnclearPoseError(
            f"B does not fit A: at best {winner.share:.0%} of the particles are paired, "
            f"{winner.hypothesis.value}, but {SMALLEST_SHARE:.0%} are needed; either B shows "
            "another object than A, or the tilt axis, the angles or the pixel size of one of "
            "them are wrong"
        )
    if not is_beaten(flipped, winner):
        return
    shares = (
        f"{winner.share:.0%} of the particles are paired so, {flipped.share:.0%} as a flipped A"
    )
    if winner.share < CLEAR_SHARE:
        raise UnclearPoseError(
            f"B fits A in no pose well: at best {winner.hypothesis.value} ({shares}). Either many "
            "particles of A or of B are in wrong places, or the angles of one series have the "
            "wrong sign, or its scan is mirrored, or the grid was not flipped; check the counts of "
            "A and of B first"
        )
    if flipped.share > NEARLY_AS_MANY * winner.share:
        mirrored = winner.hypothesis is Hypothesis.MIRRORED
        kind = OppositeSenseError if mirrored else RegistrationRefusedError
        raise kind(
            f"B fits A flipped and {winner.hypothesis.value} nearly alike ({shares}): the object "
            "is almost its own mirror image. Either the tilt angles of one series have the wrong "
            "sign, or what tells both apart is hidden or cut off in one series; check the angles, "
            "then use --region or fewer tilts, or process each series alone"
        )
    match winner.hypothesis:
        case Hypothesis.SAME_SIDE:
            raise RegistrationRefusedError(
                f"B fits A {winner.hypothesis.value} ({shares}): the grid was not flipped between "
                "them; flip it and record B again, or process each series alone"
            )
        case Hypothesis.MIRRORED:
            raise OppositeSenseError(
                f"B fits A flipped with the opposite tilt sense ({shares}): reverse the sign of "
                "the angles of the series whose sense is wrong. If both are right, the scan "
                "settings differ: B has a mirrored scan, and the grid was not flipped"
            )
        case _:
            raise RegistrationRefusedError(
                f"B fits A {winner.hypothesis.value} ({shares}): one of them has a mirrored scan, "
                "or the opposite tilt sense and the grid was not flipped; correct scan settings "
                "or angles, or process each series alone"
            )
