"""How a product of matrices is divided among blocks and threads."""

from __future__ import annotations

from ...generate.slabs import Shape

__all__ = ["Sizes"]

_DEAR = 128  # With so many components, the number of a pair costs so much that as few blocks as possible compute it.


class Sizes:
    """How the work is divided.

    Parameters
    ----------
    columns : int
        Of the output.
    real : {"float", "double"}
    kind : {"sum", "difference", "softmax"}
        What a thread has in registers besides.
    length : int
        Components from which the number of a pair is computed.

    Attributes
    ----------
    shape : Shape
        Of the pairs.
    per_thread : int
        Output columns of a thread.
    chunk : int
        Output columns of a block.
    """

    #: The most output columns of a thread, by the lanes of a row: what registers and shared memory have room for.
    _MOST = {
        "float": {"sum": {16: 8, 32: 7, 64: 7}, "difference": {16: 4, 32: 4, 64: 4}, "softmax": {16: 6, 32: 6}},
        "double": {"sum": {16: 8, 32: 6}, "difference": {16: 5, 32: 5}, "softmax": {16: 8, 32: 6}},
    }

    def __init__(self, columns: int, real: str, kind: str, length: int = 0):
        most = self._MOST[real][kind]
        lanes = 16 if columns <= 16 * most[16] else 32
        # blocks of few rows read the vectors from memory more often: worth while where the numbers are dear
        if 64 in most and columns > 32 * most[32] and length >= _DEAR:
            lanes = 64
        chunks = -(-columns // (lanes * most[lanes]))
        self.chunk = -(-columns // chunks)
        self.per_thread = -(-self.chunk // lanes)
        # two or three small blocks of a multiprocessor do different things at a time; large ones load less
        threads = 128 if lanes == 16 else 256
        self.shape = Shape(threads, lanes, 8 if real == "float" else 4, 4, 4 if real == "float" else 2)

    @property
    def columns(self) -> int:
        """Columns that a block has room for."""
        return self.shape.lanes * self.per_thread
