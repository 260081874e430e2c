"""Formats to which results are exported."""

from __future__ import annotations

from enum import StrEnum


class ExportTarget(StrEnum):
    """Formats to which results are exported."""

    STAR = "star"
    """Particle coordinates for RELION 4 and 5."""
    DYNAMO = "dynamo"
    """Particle coordinates for Dynamo."""
    IMOD = "imod"
    """Particles as a model for IMOD's 3dmod."""
    ZARR = "zarr"
    """Volume as OME-Zarr 0.5, in several resolutions."""
    NEXUS = "nexus"
    """Volume and particles in NeXus (HDF5), after NXem."""
    HSPY = "hspy"
    """Volume for HyperSpy."""
    EMD = "emd"
    """Volume in the Berkeley EMD format (HDF5)."""
    EMPIAR = "empiar"
    """Raw tilt series with what EMPIAR's form asks for."""
