"""Structure of simulated assemblies from disturbed positions, against that of the true ones."""
