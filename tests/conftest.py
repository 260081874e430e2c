"""For every test: one BLAS thread, as in the product's own processes."""
