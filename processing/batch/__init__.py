"""Processing of many sessions on the workers of a Dask cluster."""
