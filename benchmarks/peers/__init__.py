"""Libraries that do the same work, one small class each: what it can do, and how it does it.

A peer is added by a class with a method for each kind of work of `benchmarks.report.sweeps`, and a place in `PEERS`.
"""

from .base import Peer
from .jax_blocks import Jax
from .keops import KeOps
from .numpy_dense import NumPy
from .scikit_learn import ScikitLearn
from .skkeops_itself import Skkeops
from .torch_blocks import Torch

PEERS: dict[str, Peer] = {peer.name: peer for peer in (Skkeops(), NumPy(), ScikitLearn(), KeOps(), Torch(), Jax())}

__all__ = ["PEERS", "Peer"]
