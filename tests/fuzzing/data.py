"""Arrays as users have them: their values and their layouts, written so that a program can make them again."""

import numpy as np

SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-300, 1e300, 5e-324, 2.0**-126, 3e38)
LAYOUTS = ("plain", "fortran", "reversed", "strided", "readonly", "swapped bytes", "unaligned", "broadcast")


def values(rng, shape, dtype, special=0.0):
    """Return numbers that `dtype` holds: of a moderate or a larger scale, some of them 0 or equal, some special ones."""
    scale = rng.choice([1.0, 1.0, 0.1, 30.0])
    array = rng.normal(size=shape) * scale
    if rng.random() < 0.3:
        array = np.round(array)
    if rng.random() < 0.2:
        array = abs(array)
    chosen = rng.random(shape) < special
    array = np.where(chosen, rng.choice(SPECIAL, size=shape), array)
    with np.errstate(over="ignore"):
        return np.asarray(array, dtype=dtype)


def laid_out(array, layout):
    """Return an array of the same values in a layout."""
    if layout == "fortran":
        return np.asfortranarray(array)
    if layout == "reversed":
        return np.ascontiguousarray(array[::-1])[::-1]
    if layout == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "readonly":
        array = array.copy()
        array.flags.writeable = False
        return array
    if layout == "swapped bytes":
        return array.astype(array.dtype.newbyteorder())
    if layout == "unaligned":
        raw = np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:]
        return raw.view(array.dtype).reshape(array.shape)
    if layout == "broadcast" and array.ndim and len(array):
        return np.broadcast_to(array[:1], array.shape)  # of other values: the caller takes those it shows
    return array


def literal(array):
    """Return Python that makes an array: the shortest decimals that give the same bits."""
    array = np.asarray(array)
    text = repr(array.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
    if array.size == 0:
        return f"np.zeros({array.shape}, np.{array.dtype.name})"
    return f"np.array({text}, np.{array.dtype.newbyteorder('=').name})"
