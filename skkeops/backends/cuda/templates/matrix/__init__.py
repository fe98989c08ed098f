"""The template matrix: many output columns."""

from .template import Matrix

__all__ = ["Matrix"]
