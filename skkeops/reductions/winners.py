"""What the reductions share that keep values of single columns, with their indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Reduction, State


class Winners(Reduction):
    """A reduction whose state is (values, indices): the index is -1 where no value of the data has won a place."""

    def finalize(self, state: State, dtype: np.dtype) -> Any:
        value, index = state
        if not self.returns_index:
            return value.astype(dtype, copy=False)
        if not self.returns_value:
            return index
        return value.astype(dtype, copy=False), index

    def restore(self, output: Any, partition: State | None = None) -> State:
        if not (self.returns_value and self.returns_index):
            return super().restore(output)
        return output

    def has_winner(self, state: State) -> np.ndarray:
        return state[1] >= 0
