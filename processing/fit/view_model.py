"""Model images of the spheres in some views: residual, adjoint, and correction of the poses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from processing.device import Array
from processing.fit.beam import Beam, fit_contrasts, least_squares
from processing.fit.equations import ViewEquations, in_image
from processing.fit.fields import field_terms
from processing.fit.imager import SphereImager
from processing.fit.placed_splines import PlacedSplines
from processing.fit.view import Spheres, Views, particles_crossed, slot_numbers
from processing.series import Float32, Float64

LEAST_GAIN = 0.1
"""Smallest signal of the spheres in an image, relative to the model, from which a pose follows."""


@dataclass(frozen=True, eq=False)
class ViewModel:
    """Linear model of some views: spheres at fixed positions, in layers of fixed contrast.

    Attributes
    ----------
    views
        Images and their geometry.
    beam
        Beam of the series.
    splines
        Splines at the projected positions of the spheres.
    slot
        Slot of each sphere, [view, n], on the device: its kind and its layer.
    contrasts
        Signal of a sphere in each slot, [view, slot]; deeper layers have less.
    """

    views: Views
    beam: Beam
    splines: PlacedSplines
    slot: Array
    contrasts: Float64

    def __len__(self) -> int:
        return len(self.views)

    def select(self, chosen: slice) -> ViewModel:
        """Return the model of some of the views."""
        views = self.views.select(chosen)
        if len(views) == len(self.views):
            return self  # matrices on a GPU are made already
        splines = self.splines.select(chosen)
        return ViewModel(views, self.beam, splines, self.slot[chosen], self.contrasts[chosen])

    def forward(self, layer_images: Array) -> Array:
        """Return the spectra [view, ky, kx] of the images that splines on layer images give.

        `layer_images` is [view, slot and pixel], flat.
        """
        return self.views.imager.blurred_sum(layer_images, self.beam.basis, self.contrasts)

    def adjoint(self, spectra: Array) -> Array:
        """Apply the adjoint of `forward`: return layer images [view, slot and pixel], flat."""
        return self.views.imager.blurred_layers(spectra, self.beam.basis, self.contrasts)

    def project(self, weights: Float32) -> Array:
        """Return the spectra [view, ky, kx] of the images of spheres of these weights [n]."""
        return self.forward(self.splines.spread(self.views.repeat(weights)))

    def residual(self, weights: Float32) -> Array:
        """Return images minus model, for spheres of these weights [n]."""
        return self.views.spectra - self.project(weights)

    def filled(self, weights: Float32) -> ViewModel:
        """Give pixels that another object covers the values of spheres of these weights [n].

        Repeated while the spheres are fitted, this leads to the fit to the other pixels alone, as
        expectation maximisation does (Dempster et al. 1977).
        """
        views = self.views
        if views.known is None:
            return self
        model = self.project(weights)
        left = views.imager.images(views.spectra - model) * views.known
        return replace(self, views=replace(views, spectra=model + views.imager.whole_spectra(left)))

    def of_slots(self, values: Float64) -> Array:
        """Return for each sphere [view, n] the value [view, slot] of its slot."""
        device = self.views.imager.device
        return device.xp.take_along_axis(device.to_device(values), self.slot, axis=1)

    def sum_over_views(self, values: Array) -> Float32:
        """Sum values [view and sphere, flat] over the views, [n], in the host's memory."""
        summed = values.reshape(len(self.views), -1).sum(axis=0)
        return np.asarray(self.views.imager.device.to_host(summed), np.float32)


def model_views(views: Views, beam: Beam, spheres: Spheres) -> ViewModel:
    """Project the spheres into views, sort them into slots and fit each layer's contrast."""
    imager = views.imager
    crossed = particles_crossed(views, spheres)
    slot = slot_numbers(crossed, beam.most_crossed, spheres, imager.device)
    splines = imager.spread(views.project(spheres.centres_nm), slot)
    contrasts = np.ones((len(views), imager.slots))
    return refit_contrasts(ViewModel(views, beam, splines, slot, contrasts), spheres)


def refit_contrasts(model: ViewModel, spheres: Spheres) -> ViewModel:
    """Fit the contrasts again after the amplitudes of the spheres have changed."""
    views = model.views
    layers = model.splines.spread(views.repeat(spheres.weights))
    spectra = views.imager.layer_spectra(layers) * model.beam.kernels
    return replace(model, contrasts=fit_contrasts(views, spectra)).filled(spheres.weights)


def correct_poses(model: ViewModel, spheres: Spheres, *, correct_tilt: bool) -> Views:
    """Return the views with the poses at which their images agree best with the spheres.

    Corrects shift and in-plane rotation; with `correct_tilt` the tilt angle as well. A view that
    does not show the spheres keeps its pose.
    """
    views, xp = model.views, model.views.imager.device.xp
    changes = islice(changes_by_pose(model, spheres), 4 if correct_tilt else 3)
    basis = [model.project(spheres.weights), *changes]
    found = least_squares(xp.stack(basis, axis=1), views, ridge=1e-6)
    corrections = np.zeros((len(views), 4))
    for view, (gain, *scaled) in enumerate(found):
        if gain >= LEAST_GAIN:  # not one that is not a number
            corrections[view, : len(scaled)] = np.array(scaled) / gain
    return posed(views, corrections)


def changes_by_pose(model: ViewModel, spheres: Spheres) -> Iterator[Array]:
    """Make the changes of the images by a shift along y and u, in-plane rotation and tilt.

    Each are spectra [view, ky, kx] for one pixel or one radian.
    """
    views, imager = model.views, model.views.imager
    points = views.project(spheres.centres_nm)
    amplitudes = imager.device.to_device(spheres.amplitudes)

    def weighted_images(factors: Array) -> Array:
        weights = (amplitudes * factors).astype(np.float32)
        return model.forward(model.splines.spread(weights.ravel()))

    gradient_y, gradient_u = imager.gradient_y, imager.gradient_u
    images = weighted_images(imager.device.xp.ones(points.shape[:2]))
    yield gradient_y * images
    yield gradient_u * images
    along_y, along_u = (weighted_images(points[..., axis]) for axis in (0, 1))
    yield gradient_y * along_u - gradient_u * along_y
    yield gradient_u * weighted_images(views.depth(spheres.centres_nm))


def posed(views: Views, corrections: Float64) -> Views:
    """Return the views with corrected poses.

    `corrections` [view, 4] are shifts along y and u (px), in-plane rotation and tilt (radians).
    """
    axes, offsets = views.axes.copy(), views.offsets + corrections[:, :2]
    for view, (_, _, turn, tilt) in enumerate(corrections):
        if not corrections[view].any():
            continue
        rotation = np.array([[1, turn, 0], [-turn, 1, tilt], [0, -tilt, 1]])
        axes[view] = _orthogonalised(rotation @ axes[view])
    return replace(views, axes=axes, offsets=offsets)


def deformation_equations(model: ViewModel, given: Views, spheres: Spheres) -> ViewEquations:
    """Return the normal equations of displacements of the specimen in each view.

    `given` are the views before any correction of their poses.
    """
    views, imager = model.views, model.views.imager
    terms = np.column_stack([np.ones(len(spheres.amplitudes)), field_terms(spheres.centres_nm)])
    scale = np.abs(terms).max(axis=0)
    weighted = (terms / scale).T * spheres.weights
    changes = (np.outer(axis, moves) for axis in np.eye(3)[1:] for moves in weighted)
    images = [
        model.forward(model.splines.spread_changes(views.repeat(each.astype(np.float32))))
        for each in changes
    ]
    residual = model.residual(spheres.weights)
    design = imager.vectors(imager.device.xp.stack(images, axis=1))
    left = imager.vectors(residual)
    factor = np.tile(scale, 2)
    normal = _on_host(imager, design @ imager.device.xp.swapaxes(design, 1, 2))
    right = _on_host(imager, (design @ left[..., None])[..., 0])
    normal, right = normal * factor[:, None] * factor, right * factor
    energy = imager.energies(residual)
    if views.deformation is not None:
        now = in_image(views.deformation, views.axes)
        energy = (
            energy + 2 * (now * right).sum(axis=1) + np.einsum("vk,vkl,vl->v", now, normal, now)
        )
        right = right + np.einsum("vkl,vl->vk", normal, now)
    samples = np.full(len(views), imager.band_power * np.prod(imager.shape))
    series = np.full(len(views), views.series)
    tilted = (views.axes[:, 1] * given.axes[:, 2]).sum(axis=1) / (given.axes[:, 2] ** 2).sum(axis=1)
    return ViewEquations(normal, right, energy, samples, views.axes, tilted, views.elapsed, series)


def _on_host(imager: SphereImager, values: Array) -> Float64:
    return np.asarray(imager.device.to_host(values), np.float64)


def _orthogonalised(axes: Float64) -> Float64:
    """Return the nearest orthogonal axes of the same handedness and mean length."""
    left, lengths, right = np.linalg.svd(axes)
    return np.asarray(lengths.mean() * left @ right, np.float64)
