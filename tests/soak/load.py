"""10,000 mutated messages and 200 silent connections to a bridge that serves a controller."""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

from controller.bridge.bridge_address import BridgeAddress
from controller.bridge.remote_microscope import RemoteMicroscope
from tests.bridge.mutations import mutated
from tests.bridge.peer import Peer
from tests.bridge.rig import SCAN, open_rig, resident_bytes

MESSAGES = 10_000
SILENT = 200
MEMORY_LIMIT_BYTES = 200 << 20
LATENCY_RATIO = 10.0
"""Largest accepted ratio of the worst median latency under attack to that before."""
CALLS_BEFORE = 2_000
WINDOW = 50
"""Number of successive calls per median; a single call may wait for the scheduler."""
GAP_S = 0.002
"""Pause between two calls of the controller."""


def run() -> list[str]:
    """Attack a running bridge; return the violated requirements."""
    with open_rig() as rig, rig.client("the controller") as microscope:
        memory = resident_bytes(rig.bridge.pid)
        normal_s = statistics.median(_latencies(microscope, lambda n: n < CALLS_BEFORE))
        attack = multiprocessing.get_context("spawn").Process(target=_attack, args=(rig.address,))
        attack.start()
        under_attack_s = _latencies(microscope, lambda n: attack.is_alive())
        attack.join()
        grown = resident_bytes(rig.bridge.pid) - memory
        alive = microscope.acquire("afterwards", SCAN).info.request_id == "afterwards"
        moves = len(rig.actions("move"))
    worst_s = max(
        statistics.median(under_attack_s[i : i + WINDOW])
        for i in range(0, len(under_attack_s) - WINDOW, WINDOW // 2)
    )
    p99_s, longest_s = statistics.quantiles(under_attack_s, n=100)[-1], max(under_attack_s)
    print(f"load: {MESSAGES} mutated messages, {SILENT} silent connections; bridge alive: {alive}")
    print(f"load: memory grew by {grown / 2**20:.0f} MiB")
    print(
        f"load: median call {normal_s * 1e6:.0f} us before; of {len(under_attack_s)} under attack: "
        f"worst median of {WINDOW} {worst_s / normal_s:.1f} times that, "
        f"99 % {p99_s / normal_s:.1f} times, longest {longest_s * 1e3:.1f} ms"
    )
    violations = []
    if attack.exitcode != 0:
        violations.append(f"the attack itself ended with exit code {attack.exitcode}")
    if not alive or moves:
        violations.append(f"alive: {alive}, {moves} moves by strangers")
    if grown > MEMORY_LIMIT_BYTES:
        violations.append(f"memory grew by {grown / 2**20:.0f} MiB")
    if worst_s > LATENCY_RATIO * normal_s:
        violations.append(f"calls took {worst_s / normal_s:.1f} times the normal median")
    return violations


def _latencies(microscope: RemoteMicroscope, goes_on: Callable[[int], bool]) -> list[float]:
    found: list[float] = []
    while goes_on(len(found)):
        begun_s = time.perf_counter()
        microscope.status()
        found.append(time.perf_counter() - begun_s)
        time.sleep(GAP_S)
    return found


def _attack(address: BridgeAddress) -> None:
    """Send mutated messages, in a process of its own that shares only the machine."""
    dice = random.Random(2021)
    with ExitStack() as silent:
        for _ in range(SILENT):
            silent.enter_context(Peer(address))
        for number in range(MESSAGES):
            with Peer(address) as peer:
                if number % 2:
                    peer.greet()
                peer.send(mutated(dice))
