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
from processing.align.outward import align_outward
from processing.align.padding import axis_turn, pad_aligned
from processing.align.series import align_series, background_subtracted
from processing.count.diameter import estimate_diameter
from processing.count.particles import find_clusters
from processing.errors import ProcessingError
from processing.files.particles import ParticleTable
from processing.fit.render import FittedModel, Frame, fitted_model
from processing.fit.spheres import fit_spheres
from processing.images.intensity import Response, estimate_response, linearise
from processing.images.isolate import LARGEST_OVERLAP, Isolated, Surroundings
from processing.pipeline.detect import require_few_candidates
from processing.pipeline.divide import divide_particles
from processing.pipeline.memory import SINGLE_VOLUMES, allocator
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent, within
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.reconstruct.ssr import ssr_volume
from processing.series import Bools, Float32, Float64, TiltSeries

FITS = 5
"""Most fits at the final alignment; pixels that were not recorded are filled again after each."""
SETTLED_DIAMETERS = 0.03
"""Displacement in one fit, rms over the particles in diameters, after which no other follows."""
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
LARGEST_LEFT_OUT = 0.2
"""Largest share of the images, bad ones included, that a good model leaves out."""
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
    """The same near all particles in the worst image that the fit used."""
    left_out: Bools
    """Images that the fit left out, [tilt]; nothing is subtracted from them."""

    def realigned(self, start: Alignment) -> Alignment:
        """Align the images from which the neighbours were subtracted; reject the others."""
        excluded = self.series.excluded | self.left_out
        return align_series(replace(self.series, excluded=excluded), start=start)


def without_neighbours(
    isolated: Isolated,
    beside: Surroundings,
    alignment: Alignment,
    settings: ProcessSettings,
    *,
    progress: Progress = silent,
) -> Alone | None:
    """Subtract what lies beside the object, and align the images again.

    `alignment` is that of the clear images (`Isolated.clear`). Returns None if no model explains
    the images, or if it needs more memory than the limit.
    """
    try:
        aligned = _with_overlapped(isolated, beside, alignment)
        if aligned is None:
            aligned = _with_rough_model(isolated, beside, alignment, settings)
        if aligned is None:
            return None
        progress("neighbours", 0.4)
        found = _subtract(isolated, beside, aligned, settings, FITS, within(progress, 0.4, 1.0))
        if found.unexplained > LARGEST_UNEXPLAINED or found.worst_image > LARGEST_UNEXPLAINED_IMAGE:
            return None
        if found.left_out.mean() > LARGEST_LEFT_OUT:
            return None
        return Alone(found.series, found.realigned(aligned), found.beside)
    except ProcessingError:
        return None


def _with_overlapped(
    isolated: Isolated, beside: Surroundings, alignment: Alignment
) -> Alignment | None:
    """Align the images that another object overlaps to a reconstruction from the clear ones.

    Returns None if too few images are clear.
    """
    clear = isolated.clear()
    if clear is isolated.series:
        return alignment if beside.overlapped.mean() <= LARGEST_OVERLAP else None
    usable = ~background_subtracted(isolated.series).excluded
    whole = replace(isolated.series, images=beside.images)
    return align_outward(linearise(whole, response_of(clear, alignment)), alignment, usable)


def _with_rough_model(
    isolated: Isolated, beside: Surroundings, alignment: Alignment, settings: ProcessSettings
) -> Alignment | None:
    """Subtract the neighbours roughly, align the images, and repeat.

    Returns None if the rough model explains too little.
    """
    for _ in range(PASSES):
        rough = _subtract(isolated, beside, alignment, settings, 1, silent)
        if rough.unexplained > LARGEST_ROUGH_UNEXPLAINED:
            return None
        before, alignment = alignment, rough.realigned(alignment)
        moved_px = (alignment.shifts_px - before.shifts_px)[~alignment.rejected]
        if np.sqrt(np.mean(moved_px**2)) < SETTLED_PX:
            break
    return alignment


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
    padded = pad_aligned(replace(isolated.series, images=beside.images), alignment, used)
    response = response_of(isolated.clear(), alignment)
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
    diameter_nm = settings.known_diameter_nm or (
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
        moved_nm = (fit.centres_nm - centres_nm)[fit.amplitudes > PARTICLE]
        centres_nm, weights = fit.centres_nm, fit.amplitudes
        kept = ~fit.left_out[0]
        shown = filled.images.copy()
        shown[kept] = model.images(unmoved.select(kept), np.ones(len(weights), bool))
        filled = replace(filled, images=np.where(padded.known > 0, filled.images, shown))
        progress("neighbours", 0.3 + 0.7 * (number + 1) / fits)
        left = np.median(fit.evidence.unexplained[weights > PARTICLE])
        if number > 0 and left > LARGEST_ROUGH_UNEXPLAINED:
            break  # the first fit moves the particles far; fits after the second do not help
        if np.sqrt((moved_nm**2).sum(axis=1).mean()) < SETTLED_DIAMETERS * diameter_nm:
            break
    raw_frame = Frame(
        (rows, columns), pixel_nm, axis_turn(alignment.tilt_axis_deg), alignment.shifts_px[used]
    )
    return _subtracted(isolated, beside, model, raw_frame.select(kept), used[kept])


def response_of(series: TiltSeries, alignment: Alignment) -> Response:
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
        near = near_places(places[number][own & particles], frame.shape, diameter_px)
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
        float(fit.evidence.view_unexplained.max()),
        np.isin(np.arange(series.tilts), used, invert=True) & ~series.excluded,
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


def near_places(places: Float64, shape: tuple[int, int], diameter_px: float) -> Float32:
    """Return 1 near the places [n, (y, x)] in an image, 0 far from them."""
    spots = np.ones(shape, bool)
    inside = ((places >= 0) & (places <= np.array(shape) - 1)).all(axis=1)
    y, x = np.rint(places[inside]).astype(int).T
    spots[y, x] = False
    distance = ndimage.distance_transform_edt(spots)
    edge = (MASK_DIAMETERS * diameter_px - distance) / (FADE_DIAMETERS * diameter_px)
    return np.asarray(np.clip(edge + 0.5, 0, 1), np.float32)
