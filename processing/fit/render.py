"""Whole images of fitted spheres, in the frame and at the pixel size of any images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from processing.fit.beam import Beam, fit_beam
from processing.fit.imager import SphereImager
from processing.fit.spheres import SphereFit
from processing.fit.view import Views, particles_crossed, slot_numbers
from processing.fit.view_model import ViewModel, model_views
from processing.series import Bools, Float32, Float64


@dataclass(frozen=True, eq=False)
class Frame:
    """Images into which spheres are projected.

    The point (y, u) of an aligned image is at `turn` @ (y, u) + shift, pixels from the centre.
    """

    shape: tuple[int, int]
    pixel_nm: float
    turn: Float64
    shifts_px: Float64
    """[view, (y, x)]."""

    def select(self, views: Bools) -> Frame:
        """Return the frame of some of the images."""
        return replace(self, shifts_px=self.shifts_px[views])


@dataclass(frozen=True, eq=False)
class FittedModel:
    """Fit of one series, with the contrast of each of its layers."""

    fit: SphereFit
    diameter_nm: float
    beam: Beam
    models: tuple[ViewModel, ...]

    def places(self, frame: Frame) -> Float64:
        """Return the centres [view, n, (y, x)] in the images, pixels from their centre."""
        imager = _imager(self, frame)
        parts = self._in_frame(frame, imager)
        centres_nm = self.fit.centres_nm
        return np.concatenate([np.asarray(part.project(centres_nm)) for part in parts])

    def images(self, frame: Frame, shown: Bools) -> Float32:
        """Return the images [view, y, x] of the spheres `shown` [n], without noise."""
        imager = _imager(self, frame)
        finer = imager.diameter_px / self.models[0].views.imager.diameter_px
        blur_px = self.beam.blur_px * finer
        kernels = imager.whole_kernels(blur_px)
        basis = imager.basis(kernels)
        beam = replace(self.beam, blur_px=blur_px, kernels=kernels, basis=basis)
        weights = np.where(shown, self.fit.spheres.weights, np.float32(0)).astype(np.float32)

        def render(views: Views, model: ViewModel) -> Float32:
            crossed = particles_crossed(model.views, self.fit.spheres)
            slot = slot_numbers(crossed, beam.most_crossed, self.fit.spheres, imager.device)
            splines = imager.spread(views.project(self.fit.spheres.centres_nm), slot)
            whole = ViewModel(views, beam, splines, slot, finer**2 * model.contrasts)
            return np.asarray(imager.images(whole.project(weights)), np.float32)

        return np.concatenate(list(map(render, self._in_frame(frame, imager), self.models)))

    def _in_frame(self, frame: Frame, imager: SphereImager) -> list[Views]:
        finer = imager.diameter_px / self.models[0].views.imager.diameter_px
        result, first = [], 0
        for views in (model.views for model in self.models):
            axes, offsets = finer * views.axes, finer * views.offsets
            axes[:, :2] = frame.turn @ axes[:, :2]
            shifts = frame.shifts_px[first : first + len(views)]
            result.append(
                replace(views, imager=imager, axes=axes, offsets=offsets @ frame.turn.T + shifts)
            )
            first += len(views)
        return result


def thickness_images(
    centres_nm: Float64, diameter_nm: float, angles_rad: Float64, frame: Frame
) -> Float32:
    """Return the thickness (nm), times a common factor, of equal spheres in images [view, y, x].

    Parameters
    ----------
    centres_nm
        [n, 3] as (x, y, z).
    angles_rad
        Tilt angle of each image, [view].
    """
    imager = SphereImager(frame.shape, diameter_nm / frame.pixel_nm)
    kernel = imager.whole_kernels(0.0)[0]
    number = len(centres_nm)
    slots, ones = np.zeros((1, number), np.int64), np.ones(number, np.float32)
    images = []
    for places in projected(centres_nm, angles_rad, frame):
        splines = imager.spread(places[None], slots)
        spectra = imager.layer_spectra(splines.spread(ones))[:, 0]
        images.append(imager.images(spectra * kernel))
    return np.concatenate(images)


def projected(centres_nm: Float64, angles_rad: Float64, frame: Frame) -> Float64:
    """Project centres [n, (x, y, z)] to [view, n, (y, x)], pixels from the image's centre."""
    x, y, z = centres_nm.T
    cos, sin = np.cos(angles_rad)[:, None], np.sin(angles_rad)[:, None]
    along_u = cos * x + sin * z
    aligned_px = np.stack([np.broadcast_to(y, along_u.shape), along_u], axis=2) / frame.pixel_nm
    return np.asarray(aligned_px @ frame.turn.T + frame.shifts_px[:, None], np.float64)


def _imager(model: FittedModel, frame: Frame) -> SphereImager:
    return SphereImager(frame.shape, model.diameter_nm / frame.pixel_nm)


def fitted_model(fit: SphereFit, diameter_nm: float) -> FittedModel:
    """Return the model of a fit of equal spheres to one series."""
    spheres = fit.spheres
    with ThreadPoolExecutor(1) as pool:
        beam = fit_beam(fit.views, spheres, pool)
    models = tuple(model_views(views, beam, spheres) for views in fit.views)
    return FittedModel(fit, diameter_nm, beam, models)
