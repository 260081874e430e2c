"""Kernels of the layers as sums of few spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from processing.fit.imager import ONE_KIND, SphereImager, SphereKind
from processing.fit.kernel_basis import LARGEST_LEFT


@dataclass(frozen=True)
class Case:
    name: str
    blur_px: float
    most_terms: int
    kinds: tuple[SphereKind, ...] = ONE_KIND
    diameter_px: float = 6.0


CASES = [
    Case("no blur", 0.0, 1),
    Case("a third of a diameter", 2.0, 3),
    Case("two thirds of a diameter", 4.0, 4),
    Case("two kinds", 2.0, 6, kinds=(SphereKind(), SphereKind(0.7, 0.35))),
    Case("small particles", 1.0, 3, diameter_px=3.0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_few_terms_give_the_image_of_each_layer(case: Case) -> None:
    imager = SphereImager((64, 64), case.diameter_px, case.kinds)
    kernels = imager.kernels(case.blur_px)
    basis = imager.basis(kernels)
    assert len(basis.spectra) <= case.most_terms
    contrasts = np.linspace(1.0, 0.4, imager.slots)
    for slot in range(imager.slots):
        ball = imager.spread(np.array([[[3.3, -5.8]]]), np.array([[slot]]))
        layers = ball.spread(np.ones(1, np.float32))
        whole = (imager.layer_spectra(layers) * kernels).sum(axis=1) * contrasts[slot]
        found = imager.blurred_sum(layers, basis, contrasts[None])
        left, energy = imager.energies(found - whole), imager.energies(whole)
        assert np.sqrt(left / energy) < LARGEST_LEFT


def test_layers_and_sums_are_adjoint() -> None:
    imager = SphereImager((48, 60), 5.0)
    basis, contrasts = imager.basis(imager.kernels(2.0)), np.linspace(1.0, 0.4, 12).reshape(2, 6)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 48, 60)).astype(np.float32)
    balls = imager.spread(rng.uniform(-20, 20, (2, 30, 2)), rng.integers(0, 6, (2, 30)))
    changes = rng.standard_normal((3, 60)).astype(np.float32)
    spectra = imager.spectra(images)
    model = imager.blurred_sum(balls.spread_changes(changes), basis, contrasts)
    pulls = balls.read_slopes(imager.blurred_layers(spectra, basis, contrasts))
    in_images = float((imager.vectors(model) * imager.vectors(spectra)).sum())
    assert float((pulls * changes).sum()) == pytest.approx(in_images, rel=1e-4)
