"""Frames and small calls over the bridge, compared with the same bytes over a bare connection.

The peer is a minimal transfer: another process on loopback, a request of one byte, `sendall`,
`recv_into` a preallocated array; over TLS if ours uses mutual TLS. Ours is `RemoteMicroscope` as
the session calls it, checksum included. Calls of the two alternate, so that both see the same load.
"""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controller.bridge.bridge_address import BridgeAddress
from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.start_bridge import start_bridge
from controller.bridge.tls import client_context, make_certs, server_context
from controller.model.scan import ScanSettings
from tests.benchmarks.row import Row

REPEATS = 21
CALL_REPEATS = 400
FAKE = "tests.support.fake_microscope:create"
FRAME_RATIO = 2.5
TLS_RATIO = 2.0


@dataclass(frozen=True)
class Transfer:
    """Frame of one size and pixel type over one kind of connection."""

    place: str
    side_px: int
    float_pixels: bool
    target_ratio: float

    @property
    def size(self) -> int:
        """Size of the pixels, bytes."""
        return self.side_px**2 * (4 if self.float_pixels else 2)

    def __str__(self) -> str:
        dtype = "float32" if self.float_pixels else "uint16"
        return f"frame {self.side_px} x {self.side_px} {dtype}, {self.place}"


TRANSFERS = tuple(
    Transfer(place, side_px, float_pixels, ratio)
    for side_px, float_pixels in ((2048, False), (4096, True))
    for place, ratio in (("Unix socket", FRAME_RATIO), ("TCP", FRAME_RATIO), ("TLS", TLS_RATIO))
)


def run() -> list[Row]:
    """Measure every transfer and the smallest call."""
    with tempfile.TemporaryDirectory() as name:
        certs = Path(name) / "certs"
        make_certs(certs)
        return [*(_measure(transfer, certs) for transfer in TRANSFERS), _small_call(certs)]


def _measure(transfer: Transfer, certs: Path) -> Row:
    with (
        _bridge(transfer, certs) as microscope,
        _bare(transfer.size, transfer.place, certs) as receive,
    ):
        scan = ScanSettings(
            width_px=transfer.side_px, height_px=transfer.side_px, pixel_nm=1, dwell_us=1
        )
        microscope.acquire("frame", scan)
        ours_s, peer_s = _medians(lambda: microscope.fetch_frame("frame"), receive, REPEATS)
    peer = "raw TLS" if transfer.place == "TLS" else "raw TCP"
    return Row(str(transfer), ours_s, peer, peer_s, transfer.target_ratio)


def _small_call(certs: Path) -> Row:
    transfer = Transfer("Unix socket", 16, False, FRAME_RATIO)
    with _bridge(transfer, certs) as microscope, _bare(1, transfer.place, certs) as receive:
        ours_s, peer_s = _medians(microscope.report, receive, CALL_REPEATS)
    return Row("small call, Unix socket", ours_s, "raw TCP byte", peer_s)


def _medians(
    ours: Callable[[], object], peer: Callable[[], object], repeats: int
) -> tuple[float, float]:
    times = [(_timed(ours), _timed(peer)) for _ in range(repeats)]
    return (
        statistics.median(ours_s for ours_s, _ in times),
        statistics.median(peer_s for _, peer_s in times),
    )


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


@contextmanager
def _bridge(transfer: Transfer, certs: Path) -> Iterator[RemoteMicroscope]:
    options = {
        "Unix socket": [],
        "TCP": ["--host", "127.0.0.1"],
        "TLS": ["--host", "127.0.0.1", "--certs", str(certs / "bridge")],
    }
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name) / "fake.toml"
        float_pixels = str(transfer.float_pixels).lower()
        settings.write_text(f"noise = true\nfloat_pixels = {float_pixels}\n")
        with start_bridge(
            Path(name), microscope=FAKE, settings=settings, extra=options[transfer.place]
        ) as bridge:
            address = bridge.address()
            if transfer.place == "TLS":
                address = BridgeAddress(port=address.port, certs=certs / "session")
            microscope = RemoteMicroscope(address, "benchmark")
            yield microscope
            microscope.close()


@contextmanager
def _bare(size: int, place: str, certs: Path) -> Iterator[Callable[[], object]]:
    secure = certs if place == "TLS" else None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = multiprocessing.get_context("spawn").Process(
            target=_send_forever, args=(listener.getsockname()[1], size, secure)
        )
        sender.start()
        connection, _ = listener.accept()
    if secure is not None:
        connection = server_context(secure / "bridge").wrap_socket(connection, server_side=True)

    def receive() -> None:
        connection.sendall(b"?")
        room = np.empty(size, np.uint8).data
        got = 0
        while got < size:
            got += connection.recv_into(room[got:])

    with connection:
        yield receive
    sender.join()


def _send_forever(port: int, size: int, certs: Path | None) -> None:
    data = np.ones(size, np.uint8).tobytes()
    connection: socket.socket | ssl.SSLSocket = socket.create_connection(("127.0.0.1", port))
    if certs is not None:
        connection = client_context(certs / "session").wrap_socket(connection)
    with connection:
        try:
            while connection.recv(1):
                connection.sendall(data)
        except OSError:
            return
