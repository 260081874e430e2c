"""Where the profiles are: beside the checkout, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

from controller.errors import UsageError
from controller.protocol import Protocol

_PACKAGE = Path(__file__).resolve().parent


def config_folder() -> Path:
    """Folder of the profiles that come with dualtilt."""
    in_the_wheel = _PACKAGE / "_config"
    return in_the_wheel if in_the_wheel.is_dir() else _PACKAGE.parent / "config"


def profile_names() -> list[str]:
    """Names that stand for a protocol, e.g. ``demo``."""
    return sorted(path.stem for path in config_folder().glob("*.toml"))


def find_profile(name_or_path: str) -> Path:
    """Path of a protocol given by its path or by its profile's name.

    Raises
    ------
    UsageError
        Neither a file nor the name of a profile.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    named = config_folder() / f"{name_or_path}.toml"
    if name_or_path in profile_names():
        return named
    raise UsageError(
        f"{name_or_path}: no such protocol; give the path of a TOML file "
        f"or one of: {', '.join(profile_names())}"
    )


def simulator_profile(protocol: Protocol, protocol_path: Path) -> Path:
    """Path of the simulator's own profile, which lies beside the protocol."""
    return protocol_path.parent / protocol.column.simulator_settings
