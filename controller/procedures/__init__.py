"""Carry out the steps of a plan at the microscope: one module a procedure."""
