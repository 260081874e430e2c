"""The specimen as spheres, fitted to the images of one tilt series or of both at once."""
