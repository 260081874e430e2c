"""Size of the images in processing, known before the first exposure."""

from __future__ import annotations

from controller.model.protocol import Protocol
from processing.image_size import planned_size


def size_in_processing(protocol: Protocol) -> tuple[str, int]:
    """Return why processing would refuse the frames (empty if it would not), and their bin."""
    scan, wanted = protocol.scan, protocol.processing
    return planned_size(
        scan.width_px,
        scan.height_px,
        scan.pixel_nm,
        diameter_nm=wanted.diameter_nm,
        bin=wanted.bin,
        crop_px=wanted.crop_px,
        memory_limit_GB=wanted.memory_limit_GB,
    )
