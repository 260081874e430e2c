"""Make the folder of a new session; refuse one that could not start."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from controller.app.profiles import require_simulator_profile, simulator_profile
from controller.bridge.bridge_address import read_connection_file
from controller.common.bounded_read import read_bounded
from controller.common.errors import BridgeError, UsageError
from controller.model.protocol import read_protocol
from controller.rehearsal.fault_list import read_faults
from controller.session.folder import SessionFolder
from controller.session.folder_lock import remove_if_unused


def new_session(
    protocol_path: Path, out: Path | None, faults: Sequence[Path] = ()
) -> SessionFolder:
    """Make the folder of a new session, with copies of the protocol and the simulator's profile.

    Parameters
    ----------
    out
        Missing or empty folder; by default one in the current folder, named after protocol and
        time.
    faults
        Lists of faults to rehearse; also copied into the folder.

    Raises
    ------
    UsageError
        The protocol or the profile is wrong, or the folder is in use.
    """
    protocol = read_protocol(protocol_path)
    source = simulator_profile(protocol, protocol_path)
    simulated = protocol.column.kind == "simulator"
    # checked before the folder is made
    read_faults(faults)
    if simulated:
        require_simulator_profile(source)
    if out is None:
        out = Path(f"{protocol.name}-{datetime.now():%Y%m%d-%H%M%S}")
    folder = SessionFolder.create(out.absolute(), read_bounded(protocol_path).decode())
    copies = [(source, simulator_profile(protocol, folder.protocol))] if simulated else []
    copies += [(path, folder.faults / f"{n}-{path.name}") for n, path in enumerate(faults, 1)]
    for original, copy in copies:
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, copy)
        except OSError as error:
            remove_if_unused(folder)
            raise UsageError(f"{original}: cannot be copied: {error.strerror}") from None
    return folder


def require_connection_file(bridge: Path | None) -> None:
    """Refuse a file that no bridge has written; None is a session without one.

    Raises
    ------
    UsageError
        There is no such file, or it is another one.
    """
    if bridge is None:
        return
    try:
        read_connection_file(bridge)
    except BridgeError:
        what = "is no" if bridge.exists() else "no such"
        raise UsageError(
            f"--bridge {bridge}: {what} connection file; `dualtilt bridge` names it when it is "
            "ready; with certificates it is session/bridge.json of --make-certs"
        ) from None


def require_bridge(protocol_path: Path, bridge: Path | None) -> None:
    """Refuse a protocol for a real column without a bridge.

    Raises
    ------
    UsageError
        The bridge is missing, or the protocol is wrong.
    """
    require_connection_file(bridge)
    if read_protocol(protocol_path).column.kind == "bridge" and bridge is None:
        raise UsageError(
            f"{protocol_path}: column.kind is bridge: start `dualtilt bridge` on the microscope "
            "PC and pass its connection file with --bridge"
        )
