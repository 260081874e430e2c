"""Relay in front of a bridge's socket that damages, loses or holds back data: a bad network."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Self

from controller.bridge.bridge_address import BridgeAddress

PIXELS_AT_LEAST = 4_000
"""A chunk of at least this size ends with pixels; all replies are shorter."""


class Relay:
    """Passes bytes between clients and a bridge while `passing` is set."""

    def __init__(self, bridge: BridgeAddress, path: Path) -> None:
        self.address = bridge.model_copy(update={"socket_path": path})
        self.frames_to_damage = 0
        self.replies_to_lose = 0
        self.passing = threading.Event()
        self.passing.set()
        self._bridge = bridge
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.passing.set()
        for sock in (self._listener, *self._open):
            _hang_up(sock)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            bridge = socket.socket(socket.AF_UNIX)
            bridge.connect(str(self._bridge.socket_path))
            self._open += [client, bridge]
            for source, sink, is_reply in ((client, bridge, False), (bridge, client, True)):
                thread = threading.Thread(target=self._pass_on, args=(source, sink, is_reply))
                thread.start()
                self._threads.append(thread)

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        try:
            while data := source.recv(1 << 20):
                self.passing.wait()
                if is_reply and self.replies_to_lose > 0:
                    self.replies_to_lose -= 1
                    break
                sink.sendall(self._maybe_damaged(data) if is_reply else data)
        except OSError:
            pass
        finally:
            _hang_up(source)
            _hang_up(sink)

    def _maybe_damaged(self, data: bytes) -> bytes:
        if len(data) < PIXELS_AT_LEAST or self.frames_to_damage == 0:
            return data
        self.frames_to_damage -= 1
        return data[:-1] + bytes([data[-1] ^ 0x10])


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
