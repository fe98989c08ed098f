"""Generators of random programs, each with what is true of it, for `tests/fuzz.py`."""
