"""Times of skkeops beside KeOps' CPU backend and beside the machine's own limit: ``python -m benchmarks``."""
