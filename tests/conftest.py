"""For every test: one BLAS thread, as in the product's own processes."""

import controller.cli.main  # noqa: F401 - sets it, before numpy is there
