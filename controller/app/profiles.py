"""Profiles that come with dualtilt: in `config/` of the checkout or in the installed wheel."""

from __future__ import annotations

from pathlib import Path

from controller.common.errors import UsageError
from controller.model.protocol import Protocol

_PACKAGE = Path(__file__).resolve().parents[1]


def config_folder() -> Path:
    """Return the folder of the profiles that come with dualtilt."""
    in_the_wheel = _PACKAGE / "_config"
    return in_the_wheel if in_the_wheel.is_dir() else _PACKAGE.parent / "config"


def profile_names() -> list[str]:
    """Return the names of the protocols that come with dualtilt, e.g. ``demo``."""
    return _names(config_folder())


def find_profile(name_or_path: str) -> Path:
    """Return the path of a protocol given by its path or by its profile's name.

    Raises
    ------
    UsageError
        No file and no profile has this name.
    """
    return _find(name_or_path, config_folder(), "protocol")


def find_faults(name_or_path: str) -> Path:
    """Return the path of a list of faults given by its path or its name in ``config/faults``.

    Raises
    ------
    UsageError
        No file and no list has this name.
    """
    return _find(name_or_path, config_folder() / "faults", "list of faults")


def _find(name_or_path: str, folder: Path, kind: str) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = _names(folder)
    if name_or_path in names:
        return folder / f"{name_or_path}.toml"
    what = "is a folder, not a" if path.is_dir() else "no such"
    raise UsageError(
        f"{name_or_path}: {what} {kind}; give the path of a TOML file or one of: {', '.join(names)}"
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def simulator_profile(protocol: Protocol, protocol_path: Path) -> Path:
    """Return the path of the simulator's profile, relative to the folder of the protocol."""
    return protocol_path.parent / protocol.column.simulator_settings


def require_simulator_profile(profile: Path) -> None:
    """Refuse a missing simulator profile: often the protocol was copied without it.

    Raises
    ------
    UsageError
        The file is missing; the message says what to copy.
    """
    if not profile.is_file():
        raise UsageError(
            f"{profile}: no such simulator profile; column.simulator_settings names it: copy "
            f"the folder {config_folder() / 'simulator'} beside the protocol, or set "
            'column.kind = "bridge" for a real column'
        )
