"""Adapters for real columns: one column over many makers' scripting.

:mod:`column` is the microscope, the same for all; a maker's package gives it a
:class:`~controller.hardware.adapters.driver.Driver`, which knows that maker's names, units and
axes, and nothing else.
"""
