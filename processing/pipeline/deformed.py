"""Deformation of the specimen during a series: figures for the summary, and a line for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from processing.fit.fields import LINEAR, TERMS, field_terms
from processing.fit.spheres import SphereFit
from processing.results import Deformation
from processing.series import Float64

NAMED = 0.003
"""Smallest strain or lean that the line names."""
EVEN = 0.3
"""Largest difference of the strains along two axes, over the largest strain, that is even."""
MOSTLY = 2.0
"""Largest strain over the next one, where the specimen changes mostly along one axis."""
CERTAIN = 4.0
"""Smallest value that the line names, in standard errors."""
AXES = "xyz"


def deformations_of(fit: SphereFit, names: Sequence[str]) -> dict[str, Deformation]:
    """Return the deformation of the specimen during each series that shows one.

    Parameters
    ----------
    names
        Names of the series of the fit.
    """
    found = fit.deformation
    if found is None:
        return {}
    particles = fit.centres_nm[fit.spheres.are_particles]
    return {
        names[part.series]: _described(coefficients, errors, particles, part.pace)
        for part, coefficients, errors in zip(
            found.parts, found.coefficients, found.errors, strict=True
        )
        if part.pace is not None
    }


def _described(
    coefficients: Float64, errors: Float64, centres_nm: Float64, pace: float
) -> Deformation:
    """Describe a field of `field_terms` coefficients [9, 3] with their covariance [27, 27]."""
    middle_nm = centres_nm.mean(axis=0)
    radius_nm = np.abs(centres_nm - middle_nm).max(axis=0)
    figures = _figures(middle_nm, radius_nm)
    values = figures @ coefficients.ravel()
    deviations = np.sqrt(np.maximum(np.einsum("fi,ij,fj->f", figures, errors, figures), 0.0))
    (strain, lean, uneven), (strain_se, lean_se, uneven_se) = (
        [(float(x), float(y), float(z)) for x, y, z in each.reshape(3, 3)]
        for each in (values, deviations)
    )
    moves = field_terms(centres_nm) @ coefficients - field_terms(middle_nm[None]) @ coefficients
    gradient = (_slopes(middle_nm).T @ coefficients).T
    # a rotation is no deformation: it belongs to the tilt angles
    moves -= (centres_nm - middle_nm) @ (gradient - gradient.T).T / 2
    return Deformation(
        strain=strain,
        strain_se=strain_se,
        lean=lean,
        lean_se=lean_se,
        uneven=uneven,
        uneven_se=uneven_se,
        moved_nm=float(np.linalg.norm(moves, axis=1).max()),
        steady=bool(np.isinf(pace)),
    )


def _figures(middle_nm: Float64, radius_nm: Float64) -> Float64:
    """Return the factors [9, 27] of the coefficients in strain, lean and unevenness."""
    slopes = _slopes(middle_nm)
    figures = np.zeros((9, TERMS, 3))
    for axis in range(3):
        figures[axis, :, axis] = slopes[:, axis]
        step = radius_nm[axis] * np.eye(3)[axis]
        change = _slopes(middle_nm + step) - _slopes(middle_nm - step)
        figures[6 + axis] = change / 3  # the trace of the gradient
    for row, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
        figures[3 + row, :, one] = slopes[:, other]
        figures[3 + row, :, other] = slopes[:, one]
    return figures.reshape(9, -1)


def _slopes(place_nm: Float64) -> Float64:
    """Return the derivatives of `field_terms` along each axis at a place, [9, axis]."""
    x, y, z = place_nm
    slopes = np.zeros((TERMS, 3))
    slopes[:LINEAR] = np.eye(3)
    slopes[LINEAR : 2 * LINEAR] = np.diag(2 * place_nm)
    slopes[2 * LINEAR :] = [[y, x, 0], [z, 0, x], [0, z, y]]
    return slopes


def deformation_lines(deformations: Mapping[str, Deformation]) -> list[str]:
    """Return one line for each series during which the specimen has deformed."""
    return [
        f"series {name}: {_said(deformation)}; the fit follows it"
        for name, deformation in deformations.items()
    ]


def _said(deformation: Deformation) -> str:
    """Return the deformation in words."""
    parts = [*_size(deformation), *_lean(deformation), *_uneven(deformation)]
    changed = ", ".join(parts) if parts else "changed its shape slightly"
    return (
        f"while it was recorded, the assembly {changed}; particles moved by up to "
        f"{deformation.moved_nm:.2f} nm"
    )


def _size(deformation: Deformation) -> list[str]:
    strain = _certain(deformation.strain, deformation.strain_se)
    most = int(np.argmax(np.abs(strain)))
    if not strain.any():
        return []
    word = "shrank" if strain[most] < 0 else "grew"
    if np.ptp(deformation.strain) < EVEN * abs(strain[most]):
        return [f"{word} by {abs(np.mean(deformation.strain)):.1%}, evenly"]
    others = np.abs(np.delete(strain, most)).max()
    mostly = f", mostly along {AXES[most]}" if abs(strain[most]) > MOSTLY * others else ""
    values = zip(AXES, deformation.strain, deformation.strain_se, strict=True)
    along = ", ".join(f"{axis} {value:+.1%} ± {error:.1%}" for axis, value, error in values)
    return [f"{word} by {abs(strain[most]):.1%}{mostly} ({along})"]


def _lean(deformation: Deformation) -> list[str]:
    lean = _certain(deformation.lean, deformation.lean_se)
    most = int(np.argmax(np.abs(lean)))
    if not lean.any():
        return []
    degrees = np.degrees(abs(lean[most]))
    pair = ("x and y", "x and z", "y and z")[most]
    return [f"leaned (the angle between {pair} changed by {degrees:.1f} degrees)"]


def _uneven(deformation: Deformation) -> list[str]:
    uneven = _certain(deformation.uneven, deformation.uneven_se)
    most = int(np.argmax(np.abs(uneven)))
    if not uneven.any():
        return []
    side = f"{'-' if uneven[most] > 0 else '+'}{AXES[most]}"
    return [f"shrank by {abs(uneven[most]):.1%} more at {side} than at the opposite side"]


def _certain(values: Sequence[float], errors: Sequence[float]) -> Float64:
    """Return the values that are large enough to be named, and certain; 0 for the others."""
    large = np.maximum(NAMED, CERTAIN * np.array(errors))
    return np.where(np.abs(values) > large, values, 0.0)
