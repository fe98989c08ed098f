"""What is missing is told, with the command that mends it; and what goes wrong on a device is one clear error."""

import sys

import numpy as np
import pytest

import skkeops
from skkeops import Genred
from skkeops.backends import gpu

F = Genred("Exp(-SqDist(x, y))", ["x = Vi(2)", "y = Vj(2)"], axis=1)
POINTS = np.zeros((3, 2)), np.zeros((4, 2))


def refusal():
    with pytest.raises(RuntimeError) as found:
        F(*POINTS, backend="GPU")
    return str(found.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on the path in the place of an installed CuPy."""
    for name in [n for n in sys.modules if n.partition(".")[0] == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("cupy", None)


class TestMissing:
    def test_absent(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cupy", None)
        text = refusal()
        assert "CuPy, which is not installed: pip install cupy-cuda12x" in text and "backend='CPU'" in text
        assert "not installed" in gpu.report()["not available"]

    def test_broken(self, folder):
        (folder / "cupy.py").write_text("raise ImportError('libnothing.so.12: cannot open shared object file')")
        text = refusal()
        assert "cannot be imported (libnothing.so.12" in text and "pip uninstall" in text and "pip install cupy" in text

    def test_left_over_folder(self, folder, monkeypatch):
        (folder / "cupy").mkdir()
        monkeypatch.setattr(sys, "path", [str(folder)])  # a CuPy that is installed elsewhere would be found before an empty folder
        text = refusal()
        assert f"only an empty folder is left ({folder / 'cupy'})" in text and "pip install cupy" in text

    @pytest.mark.parametrize(
        ("driver", "expected"),
        [
            (0, "there is no NVIDIA driver: install one"),
            (11080, "the driver knows CUDA 11.8 and this CuPy is for CUDA 12.9: .* pip install cupy-cuda11x"),
            (12080, "the driver shows no device: see nvidia-smi, and the environment variable CUDA_VISIBLE_DEVICES"),
        ],
    )
    def test_no_device(self, driver, expected, double, monkeypatch):
        monkeypatch.setattr(double.cuda, "is_available", lambda: False)
        monkeypatch.setattr(double.cuda.runtime, "driverGetVersion", lambda: driver)
        with pytest.raises(RuntimeError, match=f"backend='GPU' cannot be used: no GPU can be used: {expected}"):
            F(*POINTS, backend="GPU")

    def test_numpy_does_not_import_cupy(self, folder):
        (folder / "cupy.py").write_text("raise SystemError('imported')")
        F(*POINTS)
        F.gradient(*POINTS, wrt="x")
        assert "cupy" not in sys.modules


class DynamicLibNotFoundError(RuntimeError):
    """As that of cuda.pathfinder."""


class TestLaunches:
    """Errors of CuPy as users meet them, by raising them where kernels are launched."""

    @pytest.fixture
    def failing(self, double, monkeypatch):
        from . import reference_backend

        x, y = map(double.asarray, POINTS)

        def call(error):
            def fail(*args, **kwargs):
                raise error

            monkeypatch.setattr(reference_backend.Program, "run", fail)
            monkeypatch.setattr(reference_backend.Program, "state", fail)
            monkeypatch.setattr(reference_backend, "evaluate", fail)
            calls = [
                lambda: F(x, y),
                lambda: F(x, y, out=double.empty((3, 1))),
                lambda: F.gradient(x, y, wrt="x"),
                lambda: F(*POINTS, backend="GPU"),
            ]
            told = []
            for one in calls:
                with pytest.raises(Exception) as found:  # noqa: B017
                    one()
                assert found.value.__cause__ is error
                told.append(found.value)
            return told

        return call

    def test_no_nvrtc(self, failing):
        for e in failing(DynamicLibNotFoundError('Failure finding "libnvrtc.so.12": No such file: libnvrtc.so.12')):
            assert isinstance(e, RuntimeError) and "NVRTC, the compiler, is missing" in str(e) and "nvidia-cuda-nvrtc" in str(e)

    def test_no_headers(self, failing):
        for e in failing(RuntimeError("Failed to find CUDA headers. Please install CUDA Toolkit.")):
            assert "CuPy finds no CUDA headers" in str(e) and "CUDA_PATH" in str(e) and "nvidia-cuda-runtime" in str(e)

    def test_no_library(self, failing):
        for e in failing(DynamicLibNotFoundError('Failure finding "libcublas.so.12"')):
            assert "a library of CUDA is missing" in str(e) and "libcublas" in str(e)

    def test_out_of_memory(self, failing, double):
        for e in failing(double.cuda.memory.OutOfMemoryError(8_000_000, 0)):
            assert isinstance(e, MemoryError) and "Out of memory allocating 8,000,000 bytes" in str(e)
            assert "free_all_blocks" in str(e)

    def test_launch_failure(self, failing, double):
        error = double.cuda.driver.CUDADriverError(700, "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")
        for e in failing(error):
            assert isinstance(e, RuntimeError) and "a computation on the GPU failed: CUDA_ERROR_ILLEGAL_ADDRESS" in str(e)

    def test_device_lost(self, failing, double):
        for e in failing(double.cuda.runtime.CUDARuntimeError(100, "cudaErrorNoDevice: no CUDA-capable device is detected")):
            assert "no GPU can be used (cudaErrorNoDevice" in str(e)

    def test_compilation(self, failing, double):
        error = double.cuda.compiler.CompileException("k.cu(3): error: identifier undefined", "source", "k.cu", ())
        for e in failing(error):
            assert "could not be compiled" in str(e) and "identifier undefined" in str(e)

    def test_mistakes_stay_as_they_are(self, double, monkeypatch):
        from . import reference_backend

        def fail(*_):
            raise ZeroDivisionError("ours")

        monkeypatch.setattr(reference_backend.Program, "run", fail)
        with pytest.raises(ZeroDivisionError, match="ours"):
            F(*map(double.asarray, POINTS))


class TestReport:
    def test_with_a_device(self, stand_in, capsys):
        found = gpu.report()
        assert found["device 0"] == "Stand-in, compute capability 9.0, 80 GiB" and "device 1" in found
        assert (found["cupy"], found["driver"], found["runtime"], found["nvrtc"]) == ("14.2.0", "12.8", "12.9", "12.9")
        skkeops.show_versions()
        assert "Stand-in, compute capability 9.0" in capsys.readouterr().out

    def test_without_a_device(self, stand_in, monkeypatch, capsys):
        def none():
            raise stand_in.cuda.runtime.CUDARuntimeError(35, "cudaErrorInsufficientDriver: CUDA driver version is insufficient")

        monkeypatch.setattr(stand_in.cuda.runtime, "getDeviceCount", none)
        monkeypatch.setattr(stand_in.cuda.runtime, "driverGetVersion", lambda: 0)
        found = gpu.report()
        assert found["driver"] == "none" and "cudaErrorInsufficientDriver" in found["not available"]
        skkeops.show_versions()
