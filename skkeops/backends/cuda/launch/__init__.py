"""From a source to launches on a device: grids, ranges as tables, values of pairs, modules of CuPy."""
