"""A stand-in for the parts of CuPyX that the project uses."""
