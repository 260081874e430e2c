"""The microscope as the session sees it: interface, limits, safe state, adapters."""
