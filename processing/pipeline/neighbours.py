"""Model what lies beside the object, and subtract it from the images.

The images are padded and reconstructed in a region larger than the field, as far as they reach at
any tilt. Spheres are fitted to the object and to its neighbours together. Pixels that were not
recorded take the values of the model. The images of the neighbours' spheres are then subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.align.alignment import Alignment, apply_alignment
from processing.align.coarse import centres_of_mass
from processing.align.series import align_series, background_subtracted
from processing.count.diameter import estimate_diameter
from processing.count.particles import find_clusters
from processing.errors import ProcessingError
from processing.files.particles import ParticleTable
from processing.fit.render import FittedModel, Frame, fitted_model
from processing.fit.spheres import fit_spheres
from processing.images.intensity import Response, estimate_response, linearise
from processing.images.isolate import Isolated, Surroundings
from processing.pipeline.detect import require_few_candidates
from processing.pipeline.divide import divide_particles
from processing.pipeline.memory import SINGLE_VOLUMES, allocator
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent, within
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.reconstruct.ssr import ssr_volume
from processing.series import Float32, Float64, TiltSeries

REACH = 1.0
"""Width of the padding on either side across the tilt axis, in widths of the field."""
RIM_PX = 8
"""Padding along the tilt axis: nothing farther away shows at any tilt."""
FITS = 5
"""Fits at the final alignment; pixels that were not recorded are filled again after each."""
PASSES = 3
"""Largest number of alignments: each finds the object with less of the neighbours."""
SETTLED_PX = 0.5
"""Change of the shifts, rms over the images, after which no further alignment follows."""
LARGEST_UNEXPLAINED = 0.05
"""Largest share of the images near a typical particle that a good model leaves unexplained."""
LARGEST_ROUGH_UNEXPLAINED = 0.12
"""The same after the first fits, above which no good model follows."""
LARGEST_UNEXPLAINED_IMAGE = 0.3
"""The same in the worst image."""
ROUNDS = 2
"""Rounds of each fit."""
PARTICLE = 0.5
"""Smallest amplitude of a particle."""
FIELD_SHARE = 0.5
"""Smallest share of the images that must show a particle beside the object to list it."""
MASK_DIAMETERS = 1.2
"""Distance from a particle's centre up to which the object's images are kept."""
FADE_DIAMETERS = 0.3


@dataclass(frozen=True, eq=False)
class Alone:
    """Series from whose images all that lies beside the object was subtracted.

    Attributes
    ----------
    series
        Raw images of the object alone.
    alignment
        Their alignment.
    beside
        Particles that lie beside it.
    """

    series: TiltSeries
    alignment: Alignment
    beside: ParticleTable


@dataclass(frozen=True, eq=False)
class _Subtraction:
    """Images without the neighbours, and the neighbours."""

    series: TiltSeries
    beside: ParticleTable
    unexplained: float
    """Share of the images near a typical particle of the object that the model leaves."""
    worst_image: float
    """The same near all particles in the worst image."""


@dataclass(frozen=True, eq=False)
class _Padded:
    """Aligned images, padded, and the pixels of them that were recorded."""

    series: TiltSeries
    known: Float32


def without_neighbours(
    isolated: Isolated,
    beside: Surroundings,
    alignment: Alignment,
    settings: ProcessSettings,
    *,
    progress: Progress = silent,
) -> Alone | None:
    """Subtract what lies beside the object, and align the images again.

    Returns None if no model explains the images, or if it needs more memory than the limit.
    """
    now = alignment
    try:
        for number in range(PASSES):
            rough = _subtract(isolated, beside, now, settings, 1, silent)
            progress("neighbours", 0.15 * (number + 1))
            if rough.unexplained > LARGEST_ROUGH_UNEXPLAINED:
                return None
            before, now = now, align_series(rough.series, start=now)
            if np.sqrt(np.mean((now.shifts_px - before.shifts_px) ** 2)) < SETTLED_PX:
                break
        found = _subtract(isolated, beside, now, settings, FITS, within(progress, 0.45, 1.0))
        if found.unexplained > LARGEST_UNEXPLAINED or found.worst_image > LARGEST_UNEXPLAINED_IMAGE:
            return None
        return Alone(found.series, align_series(found.series, start=now), found.beside)
    except ProcessingError:
        return None


def _subtract(
    isolated: Isolated,
    beside: Surroundings,
    alignment: Alignment,
    settings: ProcessSettings,
    fits: int,
    progress: Progress,
) -> _Subtraction:
    """Fit the object and its neighbours together, and subtract the neighbours."""
    used = np.flatnonzero(~alignment.rejected)
    padded = _padded(replace(isolated.series, images=beside.images), alignment, used)
    response = _response(isolated.series, alignment)
    linear = linearise(padded.series, response)
    rows, columns = isolated.series.images.shape[1:]
    projector = Projector(linear.angles_rad, linear.images.shape[2], columns)
    # the volume is less deep than wide: this counts more memory than it needs
    shape = (projector.columns, linear.images.shape[1], projector.columns)
    allocate = allocator(shape, SINGLE_VOLUMES, settings.memory_limit_GB)
    volume = sirt(
        projector,
        linear.images,
        settings.sirt_iterations,
        known=padded.known,
        momentum=True,
        allocate=allocate,
    )
    progress("neighbours", 0.2)
    shown = projector.forward(volume)
    linear = replace(linear, images=np.where(padded.known > 0, linear.images, shown))
    filled = replace(padded.series, images=np.where(padded.known > 0, padded.series.images, shown))
    pixel_nm = linear.pixel_nm
    diameter_nm = settings.diameter_nm or (
        pixel_nm * estimate_diameter(volume, linear, allocate=allocate).value_px
    )
    progress("neighbours", 0.3)
    clusters = find_clusters(
        ssr_volume(
            volume,
            diameter_nm / pixel_nm,
            iterations=settings.ssr_iterations,
            allocate=allocate,
        ),
        diameter_nm / pixel_nm,
    )
    require_few_candidates(len(clusters.weight), [filled], diameter_nm)
    centres_nm, weights = clusters.centres_px * pixel_nm, clusters.weight
    unmoved = Frame(filled.images.shape[1:], pixel_nm, np.eye(2), np.zeros((len(used), 2)))
    for number in range(fits):
        fit = fit_spheres([(filled, None)], centres_nm, weights, diameter_nm, rounds=ROUNDS)
        model = fitted_model(fit, diameter_nm)
        centres_nm, weights = fit.centres_nm, fit.amplitudes
        kept = ~fit.left_out[0]
        shown = filled.images.copy()
        shown[kept] = model.images(unmoved.select(kept), np.ones(len(weights), bool))
        filled = replace(filled, images=np.where(padded.known > 0, filled.images, shown))
        progress("neighbours", 0.3 + 0.7 * (number + 1) / fits)
    raw_frame = Frame(
        (rows, columns), pixel_nm, _turn(alignment.tilt_axis_deg), alignment.shifts_px[used]
    )
    return _subtracted(isolated, beside, model, raw_frame.select(kept), used[kept])


def _turn(axis_deg: float) -> Float64:
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    return np.array([[cos, sin], [-sin, cos]])


def _padded(series: TiltSeries, alignment: Alignment, used: NDArray[np.intp]) -> _Padded:
    rows, columns = series.images.shape[1:]
    pad = RIM_PX, round(REACH * columns)
    shape = rows + 2 * pad[0], columns + 2 * pad[1]
    turn = _turn(alignment.tilt_axis_deg)
    grid = np.indices(shape) - (np.array(shape)[:, None, None] - 1) / 2
    middle = (np.array([rows, columns]) - 1) / 2
    images = np.zeros((len(used), *shape), np.float32)
    known = np.zeros_like(images)
    for number, tilt in enumerate(used):
        offset = middle + alignment.shifts_px[tilt]
        places = np.einsum("ij,jyx->iyx", turn, grid) + offset[:, None, None]
        inside = (places >= 0) & (places <= 2 * middle[:, None, None])
        known[number] = inside.all(axis=0)
        moved = ndimage.map_coordinates(series.images[tilt], places, order=3, mode="nearest")
        images[number] = moved * known[number]
    padded = replace(
        series,
        images=images,
        angles_deg=alignment.angles_deg[used],
        excluded=np.zeros(len(used), bool),
        tilt_axis_deg=0.0,
        other_angles=(),
    )
    return _Padded(padded, known)


def _response(series: TiltSeries, alignment: Alignment) -> Response:
    """Return the response that the images of the object alone show."""
    aligned = apply_alignment(background_subtracted(series), alignment).usable()
    return estimate_response(aligned, centres_of_mass(aligned.images)[:, 0])


def _subtracted(
    isolated: Isolated,
    beside: Surroundings,
    model: FittedModel,
    frame: Frame,
    used: NDArray[np.intp],
) -> _Subtraction:
    series, fit = isolated.series, model.fit
    places = model.places(frame) + (np.array(frame.shape) - 1) / 2
    particles = fit.amplitudes > PARTICLE
    own = divide_particles(
        fit.centres_nm,
        places,
        beside.masks[used],
        ~beside.overlapped[used],
        model.diameter_nm,
        particles,
    )
    others = model.images(frame, ~own)
    diameter_px = model.diameter_nm / frame.pixel_nm
    images = series.images.copy()
    for number, tilt in enumerate(used):
        near = _near(places[number][own & particles], frame.shape, diameter_px)
        images[tilt] = (beside.images[tilt] - others[number]) * near
    last = np.array(frame.shape) - 1
    in_field = ((places >= 0) & (places <= last)).all(axis=2).mean(axis=0) >= FIELD_SHARE
    listed = ~own & particles & in_field
    table = ParticleTable(
        fit.centres_nm[listed],
        np.full(listed.sum(), model.diameter_nm),
        np.clip(1 - fit.evidence.unexplained[listed], 0, 1),
        np.ones(listed.sum(), bool),
    )
    unexplained = fit.evidence.unexplained[own & particles]
    return _Subtraction(
        _renamed(replace(series, images=images), beside, len(table)),
        table,
        float(np.median(unexplained)) if len(unexplained) else 1.0,
        1.0 if fit.left_out[0].any() else float(fit.evidence.view_unexplained.max()),
    )


def _renamed(series: TiltSeries, beside: Surroundings, listed: int) -> TiltSeries:
    """Replace the notes and doubts of a mask by those of the subtraction."""
    notes = (
        *(line for line in series.notes if line not in beside.notes),
        f"series {series.name}: what lies beside the object that is counted was fitted and "
        f"subtracted; {listed} of its particles are listed with beside = true",
    )
    doubts = tuple(line for line in series.doubts if line not in beside.doubts)
    return replace(series, notes=notes, doubts=doubts)


def _near(places: Float64, shape: tuple[int, int], diameter_px: float) -> Float32:
    """Return 1 near the places [n, (y, x)] in an image, 0 far from them."""
    spots = np.ones(shape, bool)
    inside = ((places >= 0) & (places <= np.array(shape) - 1)).all(axis=1)
    y, x = np.rint(places[inside]).astype(int).T
    spots[y, x] = False
    distance = ndimage.distance_transform_edt(spots)
    edge = (MASK_DIAMETERS * diameter_px - distance) / (FADE_DIAMETERS * diameter_px)
    return np.asarray(np.clip(edge + 0.5, 0, 1), np.float32)
