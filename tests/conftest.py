"""What all tests share."""

import numpy as np
import pytest

from skkeops import backends


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
