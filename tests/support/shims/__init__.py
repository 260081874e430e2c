"""Shims between the program and the system: they count its operations and make chosen ones fail."""
