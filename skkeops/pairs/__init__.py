"""Pairs (i, j): which of them a reduction visits, and arrays with a value for each of them."""
