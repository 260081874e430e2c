"""Contract tests of the fake and the simulator, direct and through the bridge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.hardware.interface import Microscope
from controller.rehearsal.load_microscope import load_microscope
from tests.microscope.contract import MicroscopeContract
from tests.support.adapters import bridged

SMALL_SPECIMEN = {"specimen": {"assembly_diameter_nm": 40.0, "other_assemblies_nm": []}}
SMALL_TOML = "[specimen]\nassembly_diameter_nm = 40.0\nother_assemblies_nm = []\n"
FAKE = "tests.support.fake_microscope:create"


def _direct(name: str, settings: dict[str, Any]) -> Iterator[Microscope]:
    microscope = load_microscope(name, settings, state_path=None, real_time=False)
    yield microscope
    microscope.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[Microscope]:
    yield from _direct(FAKE, {})


@pytest.fixture(scope="module")
def fake_bridged(private_folder: Path) -> Iterator[Microscope]:
    with bridged(private_folder / "fake", FAKE, "") as microscope:
        yield microscope


@pytest.fixture(scope="module")
def simulator() -> Iterator[Microscope]:
    yield from _direct("simulator", SMALL_SPECIMEN)


@pytest.fixture(scope="module")
def simulator_bridged(private_folder: Path) -> Iterator[Microscope]:
    with bridged(private_folder / "simulator", "simulator", SMALL_TOML) as microscope:
        yield microscope


class TestFake(MicroscopeContract):
    """The fake microscope that other tests use."""

    fixture_name = "fake"


class TestFakeThroughTheBridge(MicroscopeContract):
    """The fake microscope behind a bridge."""

    fixture_name = "fake_bridged"


class TestSimulator(MicroscopeContract):
    """The simulator in this process."""

    fixture_name = "simulator"


class TestSimulatorThroughTheBridge(MicroscopeContract):
    """The simulator behind a bridge."""

    fixture_name = "simulator_bridged"
