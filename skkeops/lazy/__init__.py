"""LazyTensor: formulas of pairs, written like NumPy arrays."""

from .masks import where
from .tensor import LazyTensor
from .variables import Pm, Vi, Vij, Vj

__all__ = ["LazyTensor", "Pm", "Vi", "Vij", "Vj", "where"]
