"""The saved state of the simulated column, where its disk refuses it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

import simulator.world
from controller.hardware.interface import MicroscopeError
from simulator.world import load_world, new_world, save_world
from tests.simulator.specimens import small_settings


def test_a_full_disk_is_named_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, world = tmp_path / "world.json", new_world(small_settings())
    save_world(world, path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(simulator.world, "replace_text", full)
    with pytest.raises(MicroscopeError, match=f"^{tmp_path}: .*No space left on device$"):
        save_world(world.model_copy(update={"blanked": not world.blanked}), path)
    assert load_world(path) == world
