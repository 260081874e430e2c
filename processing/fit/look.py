"""Compare one image with the spheres as they stand, and correct from where it was taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from processing.fit.beam import Beam, fitted_contrasts, least_squares
from processing.fit.camera import Ints, Placed, Spectrum
from processing.fit.view import Spheres, View, layers, met_before
from processing.series import Float32, Float64


@dataclass(frozen=True, eq=False)
class Look:
    """A view with the spheres placed in it.

    Attributes
    ----------
    layer
        [n], of each sphere.
    contrasts
        [layer]: signal of a sphere there; the deeper, the fainter.
    """

    view: View
    beam: Beam
    placed: Placed
    layer: Ints
    contrasts: Float64

    @cached_property
    def kernels(self) -> Float32:
        """[layer, ky, kx], contrast included."""
        return self.beam.kernels * self.contrasts[:, None, None].astype(np.float32)

    def drawn(self, splines: Float32) -> Spectrum:
        """Spectrum of the image whose splines are `splines` [layer and pixel]."""
        spectra = self.view.camera.layer_spectra(splines)
        return np.asarray((spectra * self.kernels).sum(axis=0), np.complex64)

    def gathered(self, spectrum: Spectrum) -> Float32:
        """The adjoint of `drawn`: flat images [layer and pixel] for splines to read."""
        return self.view.camera.layer_images(self.kernels * spectrum)

    def residual(self, weights: Float32) -> Spectrum:
        """What spheres of these weights [n] leave unexplained."""
        return self.view.spectrum - self.drawn(self.placed.value.T @ weights)


def look(view: View, beam: Beam, spheres: Spheres) -> Look:
    """Place the spheres in a view and fit the contrast of each layer."""
    met = met_before(view, spheres.centres_nm, spheres.amplitudes)
    layer = layers(met, beam.met_at_most)
    placed = view.camera.place(view.points(spheres.centres_nm), layer)
    spectra = view.camera.layer_spectra(placed.value.T @ spheres.weights)
    return Look(view, beam, placed, layer, fitted_contrasts(view, spectra * beam.kernels))


def with_contrasts(seen: Look, spheres: Spheres) -> Look:
    """The same look at spheres of other amplitudes."""
    spectra = seen.view.camera.layer_spectra(seen.placed.value.T @ spheres.weights)
    contrasts = fitted_contrasts(seen.view, spectra * seen.beam.kernels)
    return replace(seen, contrasts=contrasts)


def corrected(seen: Look, spheres: Spheres, *, turn_about_axis: bool) -> View:
    """The view from where the image best agrees with the spheres.

    Shift and in-plane turn; `turn_about_axis` adds the tilt itself.
    """
    view, slope_y, slope_u = seen.view, seen.view.camera.slope_y, seen.view.camera.slope_u
    y, u = view.points(spheres.centres_nm).T
    draw = seen.placed.value.T

    def drawn(weights: Float64) -> Spectrum:
        return seen.drawn(draw @ (spheres.amplitudes * weights).astype(np.float32))

    model = drawn(np.ones(len(y)))
    turned = slope_y * drawn(u) - slope_u * drawn(y)
    basis = [model, slope_y * model, slope_u * model, turned]
    if turn_about_axis:
        basis.append(slope_u * drawn(view.depth(spheres.centres_nm)))
    gain, *moves = least_squares(basis, view, ridge=1e-6)
    dy, du, turn, *tilt = np.array(moves) / max(gain, 1e-12)
    small = np.eye(3)
    small[0, 1], small[1, 0] = turn, -turn
    if tilt:
        small[1, 2], small[2, 1] = tilt[0], -tilt[0]
    offset = view.offset + np.array([dy, du])
    return replace(view, axes=_nearest_rotation(small @ view.axes), offset=offset)


def _nearest_rotation(axes: Float64) -> Float64:
    """Orthogonal axes of the same handedness and mean length."""
    left, lengths, right = np.linalg.svd(axes)
    return np.asarray(lengths.mean() * left @ right, np.float64)
