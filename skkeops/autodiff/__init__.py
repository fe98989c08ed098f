"""Reductions inside of other libraries' automatic differentiation: what `skkeops.torch` and `skkeops.jax` share."""

from .adjoints import adjoint, differentiable_by

__all__ = ["adjoint", "differentiable_by"]
