"""As ``cupy.linalg``."""

import numpy as _np

from ._functions import wrap as _wrap
from ._names import LINALG as _LINALG

for _name in _LINALG:
    _thing = getattr(_np.linalg, _name)
    globals()[_name] = _thing if isinstance(_thing, type) else _wrap(_thing, "linalg.")
