"""The package as a whole: its metadata, what importing it costs, what is installed with it."""

import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
import types

import numpy as np
import pytest

import skkeops


def run_python(program: str) -> str:
    """Standard output of a program in a new interpreter that finds the same skkeops as this one."""
    path = str(importlib.resources.files("skkeops").joinpath(".."))
    start = f"import sys; sys.path.insert(0, {path!r})\n"
    done = subprocess.run([sys.executable, "-P", "-c", start + program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+([abrc.dev]+\d+)?", skkeops.__version__)
    assert importlib.metadata.version("skkeops") == skkeops.__version__


def test_every_public_name_is_there():
    for name in skkeops.__all__:
        assert getattr(skkeops, name) is not None
    assert set(skkeops.__all__) <= set(dir(skkeops))


@pytest.mark.parametrize("name", ["cluster", "estimators", "formula", "kernels", "lazy", "reductions", "solvers"])
def test_modules_need_no_import_of_their_own(name):
    program = f"import skkeops; before = set(sys.modules); print(skkeops.{name}.__name__, 'skkeops.{name}' in before)"
    assert run_python(program).split() == [f"skkeops.{name}", "False"]
    assert name in dir(skkeops)


def test_whether_there_is_a_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert skkeops.gpu_available is False
    assert "gpu_available" in dir(skkeops) and "gpu_available" not in vars(skkeops)
    cupy = types.SimpleNamespace(ndarray=np.ndarray, cuda=types.SimpleNamespace(is_available=lambda: True))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert skkeops.gpu_available is True


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'genred_'"):
        _ = skkeops.genred_


@pytest.mark.parametrize("call", ["", "skkeops.Genred('Exp(x*y)', ['x = Vi(1)', 'y = Vj(1)'])"])
def test_import_leaves_heavy_packages_alone(call):
    heavy = ["cupy", "pandas", "sklearn", "matplotlib", "dask", "torch", "joblib", "pykeops", "hypothesis"]
    assert run_python(f"import skkeops\n{call}\nprint(*[m for m in {heavy} if m in sys.modules])").split() == []


def test_import_costs_little_more_than_numpy():
    """Modules and not seconds, which depend on the machine: the import itself loads nothing but what it must."""
    program = "import numpy; before = set(sys.modules); import skkeops; print(*sorted(set(sys.modules) - before))"
    loaded = run_python(program).split()
    ours = [name for name in loaded if name.split(".")[0] == "skkeops"]
    assert len(ours) <= 2, ours
    assert not [name for name in loaded if name.startswith("scipy")]


def test_typing_marker_is_installed():
    assert importlib.resources.files("skkeops").joinpath("py.typed").is_file()


def test_compiled_module_is_installed_with_its_stub():
    folder = importlib.resources.files("skkeops").joinpath("backends", "cpu")
    names = [entry.name for entry in folder.iterdir()]
    assert [n for n in names if n.startswith("_engine") and n.endswith((".so", ".pyd"))], names
    assert "_engine.pyi" in names
    assert not [n for n in names if n.endswith((".c", ".pyx", ".h", ".inc"))]


def test_engine_info():
    from skkeops.backends.cpu import engine_info

    info = engine_info()
    assert info["simd_level"] in info["simd_levels_available"]
    assert "baseline" in info["simd_levels_available"]
    assert info["n_threads"] >= 1
    assert isinstance(info["openmp"], bool)


def available_levels():
    from skkeops.backends.cpu import engine_info

    return engine_info()["simd_levels_available"]


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_level_is_chosen_by_the_environment(level, monkeypatch):
    if level not in available_levels():
        pytest.skip(f"this processor or this build has no {level}")
    monkeypatch.setenv("SKKEOPS_SIMD_LEVEL", level)
    out = run_python("from skkeops.backends.cpu import engine_info; print(engine_info()['simd_level'])")
    assert out.strip() == level


def test_show_versions(capsys):
    skkeops.show_versions()
    out = capsys.readouterr().out
    lines = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in out.splitlines() if ":" in line}
    assert lines["skkeops"] == skkeops.__version__
    assert lines["numpy"] == np.__version__
    assert lines["python"].startswith(sys.version.split()[0])
    from skkeops.backends.cpu import engine_info

    assert lines["simd_level"] == engine_info()["simd_level"]


def test_show_versions_names_what_is_missing(monkeypatch, capsys):
    from skkeops import _show_versions

    monkeypatch.setattr(_show_versions, "PACKAGES", ("skkeops", "a-package-that-nobody-has"))
    _show_versions.show_versions()
    assert "a-package-that-nobody-has: None" in capsys.readouterr().out
