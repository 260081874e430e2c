"""Shapes of particles as rigid bodies of small equal balls, which one renderer of balls serves.

The balls of a shape are placed so that their Fourier transform is that of the solid, within the
band of the images: the misfit of its amplitude is 5 % (cube) to 9 % (rod).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from processing.errors import ImpossibleDiameterError, InputFileError
from processing.files.coordinates import read_coordinates
from processing.series import Float64

SHAPES = ("sphere", "rod", "cube", "octahedron", "tetrahedron")
BALL_STEP = 0.7
"""Distance of a rod's balls, in diameters of a ball."""
MOST_BALLS = 60
"""Largest number of balls of a body, which bounds time and memory."""


@dataclass(frozen=True, eq=False)
class Body:
    """Rigid body of equal balls, in a frame of its own whose origin is their mean.

    Attributes
    ----------
    name
        Name of the shape with its size, e.g. ``rod:6x20``.
    offsets_nm
        Centres of the balls, [k, 3].
    ball_nm
        Diameter of a ball.
    width_nm
        Smallest width: diameter of a rod, edge of a polyhedron.
    aspherical_nm
        Sizes by which OVITO draws the shape; see `ParticleTable`.
    symmetry
        Rotations that leave the body as it is, without those about the axis of an axial body.
    is_axial
        True if every rotation about the z axis leaves the body as it is.
    """

    name: str
    offsets_nm: Float64
    ball_nm: float
    width_nm: float
    aspherical_nm: tuple[float, float, float]
    symmetry: Rotation
    is_axial: bool = False

    @property
    def lever_nm(self) -> float:
        """Root mean square distance of the balls from the centre."""
        return float(np.sqrt((self.offsets_nm**2).sum(axis=1).mean()))

    @property
    def radius_nm(self) -> float:
        """Radius of the sphere around all balls."""
        return float(np.linalg.norm(self.offsets_nm, axis=1).max()) + self.ball_nm / 2

    @property
    def volume_nm3(self) -> float:
        """Volume of all balls together."""
        return float(len(self.offsets_nm) * np.pi / 6 * self.ball_nm**3)

    def balls_nm(self, centres_nm: Float64, turns: Rotation) -> Float64:
        """Return the centres [n, k, 3] of the balls of n bodies."""
        turned = np.einsum("nij,kj->nki", turns.as_matrix().reshape(-1, 3, 3), self.offsets_nm)
        return np.asarray(centres_nm[:, None] + turned, np.float64)

    def misorientation_deg(self, first: Rotation, other: Rotation) -> Float64:
        """Return the smallest angle [n] between orientations, modulo the symmetry of the body."""
        if self.is_axial:
            axes = (one.apply([0.0, 0.0, 1.0]).reshape(-1, 3) for one in (first, other))
            cosine = np.abs(np.einsum("ni,ni->n", *axes))
            return np.asarray(np.rad2deg(np.arccos(np.clip(cosine, 0, 1))))
        between = first.inv() * other
        angles = [(between * one).magnitude().reshape(-1) for one in self.symmetry]
        return np.asarray(np.rad2deg(np.min(angles, axis=0)))


def parse_shape(text: str) -> Body | None:
    """Return the body that ``rod:6x20``, ``cube:8`` or ``file.xyz`` names; None for ``sphere``.

    Raises
    ------
    InputFileError
        The text names no shape with its size, or the file cannot be read.
    ImpossibleDiameterError
        A size is not positive, or a rod is not longer than wide.
    """
    if text == "sphere":
        return None
    name, _, size = text.partition(":")
    if name not in SHAPES or name == "sphere":
        if Path(text).suffix.lower() in (".xyz", ".extxyz"):
            return body_of_file(Path(text))
        raise InputFileError(
            f"{text}: no shape; write rod:6x20 (diameter x length, nm), cube:8, octahedron:9, "
            "tetrahedron:10 (edge, nm), sphere, or a file.xyz with the balls of one particle"
        )
    try:
        sizes = [float(part) for part in size.split("x")]
    except ValueError:
        sizes = []
    if len(sizes) != (2 if name == "rod" else 1):
        example = "rod:6x20 (diameter x length, nm)" if name == "rod" else f"{name}:8.5 (edge, nm)"
        fault = "cannot be read" if size else "is missing"
        raise InputFileError(f"{text}: its size {fault}; write for example {example}")
    if not all(0 < one < 1e4 for one in sizes) or (name == "rod" and sizes[1] <= sizes[0]):
        raise ImpossibleDiameterError(
            f"{text}: sizes are larger than 0 nm, and a rod is longer than its diameter"
        )
    return _rod(*sizes) if name == "rod" else _POLYHEDRA[name](sizes[0])


def body_of_file(path: Path) -> Body:
    """Return the body whose balls a file lists, with one radius; it has no symmetry.

    Raises
    ------
    InputFileError
        The file cannot be read, has too many balls, or no equal radii.
    """
    read = read_coordinates(path)
    if read.diameter_nm is None or not 1 < len(read.centres_nm) <= MOST_BALLS:
        raise InputFileError(
            f"{path}: needs 2 to {MOST_BALLS} balls of one particle with the property radius"
        )
    ball_nm = float(read.diameter_nm.mean())
    if np.ptp(read.diameter_nm) > 1e-3 * ball_nm:
        raise InputFileError(f"{path}: its balls have several radii; give equal balls")
    offsets = read.centres_nm - read.centres_nm.mean(axis=0)
    x, y, z = ((np.ptp(offsets, axis=0) + ball_nm) / 2).tolist()
    return Body(path.name, offsets, ball_nm, 2 * min(x, y, z), (x, y, z), Rotation.identity(1))


def _rod(width_nm: float, length_nm: float) -> Body:
    """Return balls along z with the second moments of a cylinder with round ends."""
    radius, half = width_nm / 2, (length_nm - width_nm) / 2
    cylinder, cap = 2 * half, 4 / 3 * radius  # volumes over pi r^2
    whole = cylinder + cap
    across = (cylinder * radius**2 / 4 + cap * radius**2 / 5) / whole
    # a cap's mean height above its base is 3/8 r, its mean squared height r^2 / 5
    ends = half**2 + 0.75 * half * radius + radius**2 / 5
    along = (cylinder * half**2 / 3 + cap * ends) / whole
    ball_nm = float(np.sqrt(20 * across))
    number = 1 + max(1, round((length_nm - width_nm) / (BALL_STEP * ball_nm)))
    # n points from -a to a have the mean square a^2 (n + 1) / (3 (n - 1))
    reach = np.sqrt((along - across) * 3 * (number - 1) / (number + 1))
    places = np.linspace(-reach, reach, number)
    offsets = np.column_stack([0 * places, 0 * places, places])
    swap = Rotation.from_quat([[0, 0, 0, 1], [1, 0, 0, 0]])
    drawn = (radius, radius, length_nm - width_nm)
    name = f"rod:{width_nm:g}x{length_nm:g}"
    return Body(name, offsets, ball_nm, width_nm, drawn, swap, is_axial=True)


def _cube(edge_nm: float) -> Body:
    corners = np.array(list(product((-1.0, 1.0), repeat=3)))
    half = edge_nm / 2
    group = Rotation.create_group("O")
    return Body(
        f"cube:{edge_nm:g}", 0.242 * edge_nm * corners, 0.645 * edge_nm, edge_nm, (half,) * 3, group
    )


def _octahedron(edge_nm: float) -> Body:
    corners = np.vstack([np.eye(3), -np.eye(3)])
    half = edge_nm / np.sqrt(2)
    group = Rotation.create_group("O")
    return Body(
        f"octahedron:{edge_nm:g}",
        0.3296 * edge_nm * corners,
        0.552 * edge_nm,
        edge_nm,
        (half,) * 3,
        group,
    )


def _tetrahedron(edge_nm: float) -> Body:
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
    offsets = 0.1203 * edge_nm * corners
    half = edge_nm / np.sqrt(8)
    group = Rotation.create_group("T")
    return Body(f"tetrahedron:{edge_nm:g}", offsets, 0.388 * edge_nm, edge_nm, (half,) * 3, group)


_POLYHEDRA = {"cube": _cube, "octahedron": _octahedron, "tetrahedron": _tetrahedron}
