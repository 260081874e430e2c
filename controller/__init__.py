"""Everything that touches the microscope, the operator or the disk during a session."""
