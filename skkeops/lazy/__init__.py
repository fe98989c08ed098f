"""LazyTensor: formulas of pairs, written like NumPy arrays."""

from .tensor import LazyTensor, Pm, Vi, Vj

__all__ = ["LazyTensor", "Pm", "Vi", "Vj"]
