"""As much of ``cupyx.scipy.linalg`` as the project uses."""

from cupy._functions import wrap
from scipy import linalg

solve_triangular = wrap(linalg.solve_triangular)
