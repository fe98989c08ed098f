"""LazyTensor: formulas of pairs, written like NumPy arrays."""

from .choices import where
from .complex_tensor import ComplexLazyTensor
from .tensor import LazyTensor
from .variables import Pm, Vi, Vij, Vj

__all__ = ["ComplexLazyTensor", "LazyTensor", "Pm", "Vi", "Vij", "Vj", "where"]
