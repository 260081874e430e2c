"""Model image of the spheres in one view: residual, adjoint, and correction of the view's pose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from processing.fit.beam import Beam, fit_contrasts, least_squares
from processing.fit.imager import Ints, Spectrum, SplineMatrices
from processing.fit.view import Spheres, View, particles_crossed, slot_numbers
from processing.series import Float32, Float64

LEAST_GAIN = 0.1
"""Smallest signal of the spheres in an image, relative to the model, from which a pose follows."""


@dataclass(frozen=True, eq=False)
class ViewModel:
    """Linear model of one image: spheres at fixed positions, in layers of fixed contrast.

    Attributes
    ----------
    view
        Image and its geometry.
    beam
        Beam of the series.
    splines
        Splines at the projected positions of the spheres.
    slot
        Slot of each sphere, [n]: its kind and its layer.
    contrasts
        Signal of a sphere in each slot, [slot]; deeper layers have less.
    """

    view: View
    beam: Beam
    splines: SplineMatrices
    slot: Ints
    contrasts: Float64

    @cached_property
    def kernels(self) -> Float32:
        """Kernels of the beam times the contrasts, [slot, ky, kx]."""
        return self.beam.kernels * self.contrasts[:, None, None].astype(np.float32)

    def forward(self, layer_images: Float32) -> Spectrum:
        """Return the spectrum of the image that splines on layer images [slot and pixel] give."""
        spectra = self.view.imager.layer_spectra(layer_images)
        return np.asarray((spectra * self.kernels).sum(axis=0), np.complex64)

    def adjoint(self, spectrum: Spectrum) -> Float32:
        """Apply the adjoint of `forward`: return layer images [slot and pixel]."""
        return self.view.imager.layer_images(self.kernels * spectrum)

    def residual(self, weights: Float32) -> Spectrum:
        """Return image minus model, for spheres of these weights [n]."""
        return self.view.spectrum - self.forward(self.splines.value_transposed @ weights)


def model_view(view: View, beam: Beam, spheres: Spheres) -> ViewModel:
    """Project the spheres into a view, sort them into layers and fit each layer's contrast."""
    slot = slot_numbers(particles_crossed(view, spheres), beam.most_crossed, spheres)
    splines = view.imager.spread(view.project(spheres.centres_nm), slot)
    spectra = view.imager.layer_spectra(splines.value_transposed @ spheres.weights)
    return ViewModel(view, beam, splines, slot, fit_contrasts(view, spectra * beam.kernels))


def refit_contrasts(model: ViewModel, spheres: Spheres) -> ViewModel:
    """Fit the contrasts again after the amplitudes of the spheres have changed."""
    spectra = model.view.imager.layer_spectra(model.splines.value_transposed @ spheres.weights)
    contrasts = fit_contrasts(model.view, spectra * model.beam.kernels)
    return replace(model, contrasts=contrasts)


def correct_pose(model: ViewModel, spheres: Spheres, *, correct_tilt: bool) -> View:
    """Return the view with the pose at which its image agrees best with the spheres.

    Corrects shift and in-plane rotation; with `correct_tilt` the tilt angle as well. A view that
    does not show the spheres keeps its pose.
    """
    view, imager = model.view, model.view.imager
    gradient_y, gradient_u = imager.gradient_y, imager.gradient_u
    y, u = view.project(spheres.centres_nm).T
    to_layers = model.splines.value_transposed

    def weighted_image(factors: Float64) -> Spectrum:
        return model.forward(to_layers @ (spheres.amplitudes * factors).astype(np.float32))

    image = weighted_image(np.ones(len(y)))
    rotated = gradient_y * weighted_image(u) - gradient_u * weighted_image(y)
    basis = [image, gradient_y * image, gradient_u * image, rotated]
    if correct_tilt:
        basis.append(gradient_u * weighted_image(view.depth(spheres.centres_nm)))
    gain, *corrections = least_squares(basis, view, ridge=1e-6)
    if not gain >= LEAST_GAIN:  # also a gain that is not a number
        return view
    dy, du, turn, *tilt = np.array(corrections) / gain
    rotation = np.eye(3)
    rotation[0, 1], rotation[1, 0] = turn, -turn
    if tilt:
        rotation[1, 2], rotation[2, 1] = tilt[0], -tilt[0]
    offset = view.offset + np.array([dy, du])
    return replace(view, axes=_orthogonalised(rotation @ view.axes), offset=offset)


def _orthogonalised(axes: Float64) -> Float64:
    """Return the nearest orthogonal axes of the same handedness and mean length."""
    left, lengths, right = np.linalg.svd(axes)
    return np.asarray(lengths.mean() * left @ right, np.float64)
