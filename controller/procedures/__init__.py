"""Carry out the steps of a plan at the microscope: one module per procedure."""
