"""The package as a building: its parts, their sizes, the imports between them, and the rooms of the tests."""

import ast
import graphlib
import importlib.resources
from pathlib import Path

import pytest

PACKAGE = Path(str(importlib.resources.files("skkeops")))
ROOT = Path(__file__).resolve().parents[2]
#: Folders of tests that are not called like what they test.
ROOMS = {
    "cuda": "skkeops/backends/cuda, and everything else with arrays of CuPy",
    "engine": "cython_ext, through skkeops/backends/cpu",
    "fuzzing": "programs made at random, for fuzz.py",
    "package": "the package and its documentation as a whole",
}
CODE = {".py", ".pyx", ".pxd", ".c", ".h", ".inc", ".def"}
in_the_source_tree = pytest.mark.skipif(not (ROOT / "cython_ext").is_dir(), reason="the tests stand alone")


def modules(folder: Path) -> dict[str, Path]:
    """The files of a package, by the names of their modules; for a compiled one its stub."""
    found = {}
    for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.pyi")]):
        name = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = file
    return found


def imports(name: str, file: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it; not those for type checkers alone."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found, rest = set(), [ast.parse(file.read_text(encoding="utf-8"))]
    while rest:
        node = rest.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        rest += ast.iter_child_nodes(node)
    return found


def parts(folder: Path) -> dict[str, set[str]]:
    """For each file and folder of a package, which others of them it imports."""
    graph: dict[str, set[str]] = {}
    for name, file in modules(folder).items():
        if "." in name:  # the package itself imports its parts on first use
            used = graph.setdefault(name.split(".")[1], set())
            used |= {m.split(".")[1] for m in imports(name, file) if m.startswith(folder.name + ".")} - {name.split(".")[1]}
    return {part: used & graph.keys() for part, used in graph.items()}


def module_graph(folder: Path) -> dict[str, set[str]]:
    """For each module of a package, which others of it are imported, at the top or inside of functions."""
    known = modules(folder)
    graph = {}
    for name, file in known.items():
        used = graph[name] = set()
        for target in imports(name, file):
            while target and target not in known:  # a name in a module
                target = target.rpartition(".")[0]
            used |= {target} - {"", name}
    return graph


def test_imports_between_modules_run_one_way():
    graph = module_graph(PACKAGE)
    assert "skkeops.formula.registry" in graph["skkeops.formula.expression"]  # imports are found at all
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_imports_between_parts_run_one_way():
    graph = parts(PACKAGE)
    assert graph["genred"] >= {"backends", "calls", "execution", "formula"}  # imports are found at all
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("graph", [parts, module_graph])
def test_a_circle_would_be_found(tmp_path, graph):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("def f():\n    from package.b import g\n    return g\n")
    (folder / "b.py").write_text("from . import a\n")
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(graph(folder)).static_order())


def test_no_lock_but_ours():
    """A lock that another thread holds during a fork hangs the child: skkeops/locks.py has one that does not."""
    kinds = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier"}
    waiting = {f"threading.{kind}" for kind in kinds} | {"functools.cached_property", "queue", "multiprocessing"}
    for name, file in modules(PACKAGE).items():
        source = ast.parse(file.read_text(encoding="utf-8"))
        used = imports(name, file) | {ast.unparse(n) for n in ast.walk(source) if isinstance(n, ast.Attribute)}
        assert name == "skkeops.locks" or not used & waiting, name


def test_formulas_know_no_arrays_and_backends_no_estimators():
    graph = parts(PACKAGE)
    assert graph["formula"] == {"locks"} and graph["locks"] == set()
    assert not graph["backends"] & {"genred", "kernels", "estimators", "lazy"}
    assert {part for part, used in graph.items() if "estimators" in used} == {"statistics"}


@in_the_source_tree
def test_no_file_is_long():
    code = [f for folder in ("skkeops", "cython_ext") for f in (ROOT / folder).rglob("*") if f.suffix in CODE]
    assert len(code) > 100
    assert not long_files(code, 450)


def test_no_file_of_tests_is_long():
    assert not long_files((ROOT / "tests").rglob("*.py"), 800)


def long_files(files, most):
    """Files with too many lines, and how many they have."""
    lines = {f.relative_to(ROOT).as_posix(): f.read_text(encoding="utf-8").count("\n") for f in files}
    return {name: n for name, n in lines.items() if n > most}


def test_few_files_stand_beside_the_folders():
    files = {f.name for f in PACKAGE.iterdir() if f.is_file() and f.suffix in (".py", ".pyi")}
    assert "genred.py" in files and len(files) <= 8


def test_tests_have_the_rooms_of_the_package():
    """The tests of skkeops/pairs are in tests/pairs; what is not called like that is in a room of the list."""
    tests = ROOT / "tests"
    rooms = {f.name for f in tests.iterdir() if f.is_dir() and f.name != "__pycache__"}
    assert not list(tests.glob("test_*.py"))
    assert rooms - ROOMS.keys() <= {f.stem for f in PACKAGE.iterdir()}
    assert ROOMS.keys() <= rooms
