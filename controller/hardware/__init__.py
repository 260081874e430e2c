"""Interface to the microscope: data, protocol, errors, limits, safe state and adapters."""
