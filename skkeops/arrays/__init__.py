"""Arrays of NumPy, CuPy and pandas: where they live, what they are converted to, and what goes wrong there."""
