"""The Pyro5 service that owns the hardware, and the client that stands in for it."""
