"""LazyTensor: formulas of pairs, written like NumPy arrays."""

from .complex_tensor import ComplexLazyTensor
from .masks import where
from .tensor import LazyTensor
from .variables import Pm, Vi, Vij, Vj

__all__ = ["ComplexLazyTensor", "LazyTensor", "Pm", "Vi", "Vij", "Vj", "where"]
