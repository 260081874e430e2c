"""Frames over the bridge against the same bytes over a bare TCP connection, both on loopback.

The peer is the least a transfer can do: another process, a few bytes of request, `sendall`,
`recv_into` a preallocated array. Ours is `RemoteMicroscope.fetch_frame` as the session calls it,
checksum included. Calls of the two alternate, so that both see the same machine.
"""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from controller.bridge.client import RemoteMicroscope
from controller.bridge.launch import start_bridge
from controller.microscope.interface import ScanSettings
from tests.benchmarks.row import Row

REPEATS = 15
TARGET_RATIO = 2.5
FAKE = "tests.microscope.fake:create"
FRAMES = (("2048 x 2048 uint16", 2048, False), ("4096 x 4096 float32", 4096, True))
PLACES = (("Unix socket", False), ("TCP", True))


def run() -> list[Row]:
    """Measure every frame over every transport."""
    return [
        _measure(f"frame {name}, {place}", side_px, float_pixels, tcp)
        for name, side_px, float_pixels in FRAMES
        for place, tcp in PLACES
    ]


def _measure(problem: str, side_px: int, float_pixels: bool, tcp: bool) -> Row:
    size = side_px**2 * (4 if float_pixels else 2)
    with _remote(side_px, float_pixels, tcp) as fetch, _raw(size) as receive:
        ours, peers = [], []
        for _ in range(REPEATS):
            ours.append(_timed(fetch))
            peers.append(_timed(receive))
    return Row(problem, statistics.median(ours), "raw TCP", statistics.median(peers), TARGET_RATIO)


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


@contextmanager
def _remote(side_px: int, float_pixels: bool, tcp: bool) -> Iterator[Callable[[], object]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "fake.toml"
        settings.write_text(f"float_pixels = {str(float_pixels).lower()}\n")
        place = ["--host", "127.0.0.1"] if tcp else []
        with start_bridge(folder, microscope=FAKE, settings=settings, extra=place) as bridge:
            microscope: RemoteMicroscope = bridge.connect("bench")
            scan = ScanSettings(width_px=side_px, height_px=side_px, pixel_nm=1, dwell_us=1)
            microscope.acquire("frame", scan)
            yield lambda: microscope.fetch_frame("frame")
            microscope.close()


@contextmanager
def _raw(size: int) -> Iterator[Callable[[], object]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = multiprocessing.get_context("spawn").Process(
            target=_send_forever, args=(listener.getsockname()[1], size)
        )
        sender.start()
        connection, _ = listener.accept()

    def receive() -> None:
        connection.sendall(b"?")
        room = np.empty(size, np.uint8).data
        got = 0
        while got < size:
            got += connection.recv_into(room[got:])

    with connection:
        yield receive
    sender.join()


def _send_forever(port: int, size: int) -> None:
    data = np.ones(size, np.uint8).tobytes()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while connection.recv(1):
            connection.sendall(data)
