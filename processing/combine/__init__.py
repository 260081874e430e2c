"""Registration of B onto A and fusion of the two volumes."""
