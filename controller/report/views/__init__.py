"""Views in three dimensions: particles as bodies, drawn by K3D in the reader's browser."""
