"""Benchmarks. BLAS runs on one thread in them, as in the program, which uses the cores itself."""

import controller.app.cli.main  # noqa: F401  (sets the variables before numpy is imported)
