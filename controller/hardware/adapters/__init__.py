"""Adapters for real columns.

:mod:`real_column` is the same for all makers. A maker's package adds a
:class:`~controller.hardware.adapters.driver.Driver`, which translates to that maker's names, units
and axes.
"""
