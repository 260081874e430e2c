"""B registered onto A: a hundred assemblies of each order, each in a pose of its own."""

from __future__ import annotations

from processing.errors import RegistrationRefusedError
from tests.processing.test_combine import test_b_is_registered_onto_a

SEEDS = range(100)


NO_SIDE = "almost its own mirror image"
"""Words of the refusal of an assembly, such as a ball of one crystal, that looks alike flipped."""


def run() -> list[str]:
    """Register every assembly; return those that were refused or registered wrongly."""
    violations, alike = [], []
    for order in ("fcc", "disordered"):
        for seed in SEEDS:
            name = f"{order}, seed {seed}"
            try:
                test_b_is_registered_onto_a(order, seed)
            except RegistrationRefusedError as error:
                (alike if NO_SIDE in str(error) else violations).append(f"{name}: {error}")
            except AssertionError as error:
                violations.append(f"{name}: {error or 'not the true pose'}")
    print(
        f"registrations: {2 * len(SEEDS)} assemblies, {len(violations)} not registered, "
        f"{len(alike)} refused since they look alike flipped"
    )
    return violations
