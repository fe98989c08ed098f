"""How real lazy tensors become complex."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression

from .base import Methods

if TYPE_CHECKING:
    from ..complex_tensor import ComplexLazyTensor
    from ..tensor import LazyTensor

__all__ = ["ComplexNumbers"]


class ComplexNumbers(Methods):
    """Methods by which tensors become complex, and those of complex numbers that real numbers have, too."""

    __slots__ = ()

    is_complex = False

    def _as_complex(self, build: Callable[[Expression], Expression] = ops.Real2Complex.build) -> ComplexLazyTensor:
        return self._kinds["complex"]._of(build(self.expression), self.symbols, self._rows, self.ranges, self.backend)

    def _as_real(self, build: Callable[[Expression], Expression]) -> LazyTensor:
        return self._kinds["real"]._of(build(self.expression), self.symbols, self._rows, self.ranges, self.backend)

    def real2complex(self):
        """Return the tensor as complex numbers without imaginary parts."""
        return self._as_complex()

    def imag2complex(self):
        """Return the tensor as the imaginary parts of complex numbers."""
        return self._as_complex(ops.Imag2Complex.build)

    def exp1j(self):
        """Return exp(i x), that is cos x + i sin x."""
        return self._as_complex(ops.ComplexExp1j.build)

    @property
    def real(self):
        """The real parts."""
        return self

    @property
    def imag(self):
        """The imaginary parts."""
        return self._as_real(lambda f: Constant(0, f.dim))

    def conj(self):
        """Return the complex conjugate."""
        return self

    conjugate = conj

    def angle(self):
        """Return the angle in [-pi, pi] of the complex number, 0 at 0."""
        return self._as_complex().angle()

    def adjoint(self):
        """Return the tensor with i and j exchanged, conjugate."""
        return self.conj().t()

    @property
    def H(self):  # noqa: N802 (SciPy's name)
        """The tensor with i and j exchanged, conjugate."""
        return self.adjoint()
