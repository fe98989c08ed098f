"""Many output columns: a number per pair, then the product of the matrix of these numbers with vectors."""
