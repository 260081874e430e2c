"""Fixtures of these tests."""

from tests.support.flip_memo import one_comparison_of_the_same_images

__all__ = ["one_comparison_of_the_same_images"]
