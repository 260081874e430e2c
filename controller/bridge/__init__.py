"""Bridge to the microscope: a Pyro5 service that owns the hardware, and its client."""
