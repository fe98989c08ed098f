"""What all tests share."""

import contextlib
import os

import numpy as np
import pytest

from skkeops import backends
from skkeops.execution import blocks


def _available(name):
    try:
        backends.get(name)
    except RuntimeError:
        return False
    return True


@pytest.fixture(params=["reference", "CPU"])
def backend(request):
    """Every backend that can run here, by name."""
    if not _available(request.param):
        pytest.skip(f"the backend {request.param} is not available")
    return request.param


@pytest.fixture
def rng():
    """A random generator, the same in every test."""
    return np.random.default_rng(0)


@pytest.fixture
def small_blocks(monkeypatch):
    """A function that makes blocks of an output as small as it is told, from then on."""

    def rows_of_a_block(rows):
        monkeypatch.setattr(blocks, "STATE_NUMBERS", 1)
        monkeypatch.setattr(blocks, "SMALLEST_BLOCK", rows)

    return rows_of_a_block


@pytest.fixture(scope="session")
def keops(tmp_path_factory):
    """``pykeops.numpy``, compiling into a folder of its own, on the CPU; its messages go nowhere."""
    pykeops = pytest.importorskip("pykeops")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        pykeops.set_verbose(False)
        pykeops.set_build_folder(str(tmp_path_factory.mktemp("keops")))
        import pykeops.numpy
        import pykeops.numpy.cluster

        yield pykeops.numpy
