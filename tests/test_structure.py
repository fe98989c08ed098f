"""The parts of the package: imports between them run one way."""

import ast
import graphlib
import importlib.resources
from pathlib import Path

import pytest

PACKAGE = Path(str(importlib.resources.files("skkeops")))


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
    assert graph["genred"] >= {"calls", "formula"}  # imports are found at all
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
    assert not {part for part, used in graph.items() if "estimators" in used}
