"""The shapes of kernels: one file for each."""
