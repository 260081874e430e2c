"""Shared parts of the tests of the adapters for real columns, which run on stand-ins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.bridge.start_bridge import start_bridge
from controller.hardware.interface import Microscope
from controller.model.scan import ScanSettings
from tests.microscope.contract import new_id
from tests.support.columns import serialem, temscript
from tests.support.virtual_clock import VirtualClock

SCAN = ScanSettings(width_px=128, height_px=128, pixel_nm=500 / 128, dwell_us=2.0)
PROBE_PA = 65.0
"""Probe current within 10 % of both currents of the contract, as it cannot change in between."""


StandIn = serialem.Column | temscript.Column


@contextmanager
def verified(
    stand_in: StandIn, connect: Callable[..., Microscope], settings: dict[str, Any]
) -> Iterator[Microscope]:
    """Connect an adapter in virtual time and verify its probe current."""
    clock = VirtualClock()
    stand_in.sleep = clock.sleep
    with closing(connect(settings, None, clock)) as microscope:
        microscope.set_current(new_id(), PROBE_PA)
        stand_in.log.clear()
        yield microscope
        stand_in.refuses.clear()  # so that closing can make it safe


@contextmanager
def bridged(folder: Path, name: str, toml: str) -> Iterator[Microscope]:
    """Start a bridge process with a microscope, by name; adapters find their stand-in there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = folder / "settings.toml"
    settings.write_text(toml)
    with pytest.MonkeyPatch.context() as patch:
        stand_ins = str(Path(serialem.__file__).parent)
        patch.setenv("PYTHONPATH", stand_ins, prepend=os.pathsep)
        with (
            start_bridge(folder / "b", microscope=name, settings=settings, lease_s=10.0) as bridge,
            closing(bridge.connect("the contract")) as microscope,
        ):
            yield microscope
