"""Fixtures of the fault tests."""

from tests.support.flip_memo import one_comparison_of_the_same_images
from tests.support.processes import start

__all__ = ["one_comparison_of_the_same_images", "start"]
