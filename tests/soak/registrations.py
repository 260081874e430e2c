"""B registered onto A: a hundred assemblies of each order, each in a pose of its own."""

from __future__ import annotations

from processing.errors import RegistrationRefusedError
from tests.processing.test_combine import test_b_is_registered_onto_a

SEEDS = range(100)


def run() -> list[str]:
    """Register every assembly; return those that were refused or registered wrongly."""
    violations = []
    for order in ("fcc", "disordered"):
        for seed in SEEDS:
            try:
                test_b_is_registered_onto_a(order, seed)
            except (AssertionError, RegistrationRefusedError) as error:
                violations.append(f"{order}, seed {seed}: {error or 'not the true pose'}")
    print(f"registrations: {2 * len(SEEDS)} assemblies, {len(violations)} not registered")
    return violations
