"""The report: skkeops beside other libraries, ``python -m benchmarks.report --out DIR``."""
