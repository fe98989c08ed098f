"""As ``cupy.fft``."""

import numpy as _np

from ._functions import wrap as _wrap
from ._names import FFT as _FFT

globals().update({_name: _wrap(getattr(_np.fft, _name), "fft.") for _name in _FFT})
