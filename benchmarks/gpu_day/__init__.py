"""One command for the day there is a GPU: correctness first, then rates, times beside peers, sanitizer and profiler."""
