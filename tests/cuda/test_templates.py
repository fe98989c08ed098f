"""The contract of templates: what is added is found, and nothing else knows its name."""

import ast
import inspect
from pathlib import Path

import pytest

from skkeops import Genred
from skkeops.backends import cuda
from skkeops.backends.cuda import source
from skkeops.backends.cuda.source import _source
from skkeops.backends.cuda.templates import Template, templates
from skkeops.backends.cuda.templates.rows import Rows
from skkeops.plan.plan import make_plan

FOLDER = Path(cuda.__file__).parent
#: The folders in the order of their imports: each may know those before it.
ROOMS = ["launch", "generate", "folds", "templates"]


def plan_of(formula, aliases=("x = Vi(3)", "y = Vj(3)"), reduction="Sum"):
    return make_plan(Genred(formula, list(aliases), reduction, axis=1)._problem)


@pytest.fixture
def mine():
    """A template that only this test has."""

    class Mine(Rows):
        name = "mine"
        kernel = "skk_mine"
        of_sizes = True

        @classmethod
        def suits(cls, plan, rows, columns, along):
            return rows == 12345

        @classmethod
        def declines(cls, task):
            return super().declines(task) or ("it knows sums alone" if task.kind != "sum" else None)

    yield Mine
    Template.classes.remove(Mine)
    _source.cache_clear()  # which has kernels of the class


def test_a_class_is_all_that_a_template_takes(mine):
    plan = plan_of("Exp(-SqDist(x, y))")
    made = source(plan, "float32", template="mine")
    assert made.template == "mine" and made.kernels[0] == "skk_mine" and " skk_mine(" in made.text
    assert made.geometry(100, 100).launches[0].kernel == "skk_mine"
    assert cuda.source(plan, "float32").template == "rows"
    assert cuda.templates.choose_template(plan, 12345, 100) == "mine"
    largest = source(plan_of("SqDist(x, y)", reduction="Max"), "float32", template="mine")
    assert largest.template == "rows" and next(iter(largest.declined.items())) == ("Mine", "it knows sums alone")


def test_a_template_without_its_name_is_refused():
    with pytest.raises(ValueError, match="'auto', 'ranges' or one of .*'rows'.*, found 'row'"):
        source(plan_of("Exp(-SqDist(x, y))"), "float32", template="row")


def test_who_declines_says_why():
    long = ["x = Vi(300)", "y = Vj(300)"]
    found = source(plan_of("Exp(-SqDist(x, y)) * (x + y)", long), "float32")
    assert found.template == "wide" and len(found.declined) > 3 and all(found.declined.values())
    ranges = source(plan_of("Exp(-SqDist(x, y))", long), "float32", template="ranges")
    assert ranges.template == "wide" and "ranges" in ranges.declined["Dot"]


def words_in(file):
    """The names and the strings of a file, without its docstrings, and what its f-strings are made of."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    names, strings = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.name.rpartition(".")[2])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            strings.add(node.value)
    return names, strings


def test_no_template_is_named_outside_of_its_file():
    classes = [cls for cls in templates() if cls.__module__.startswith(cuda.__name__)]
    assert len(classes) >= 8
    for file in FOLDER.rglob("*.py"):
        names, strings = words_in(file)
        inside = [cls for cls in classes if Path(inspect.getfile(cls)) == file]
        for cls in classes:
            home = Path(inspect.getfile(cls))
            if file == home or (file.parent == home.parent and home.parent.name != "templates"):
                continue
            assert cls.__name__ not in names or any(issubclass(own, cls) for own in inside), (file, cls)
            # variants may have the name or the kernel of what they are variants of
            assert cls.name not in strings or any(own.name == cls.name for own in inside), (file, cls)
            spelled = any(cls.kernel in string for string in strings)
            assert not spelled or any(own.kernel == cls.kernel for own in inside), (file, cls)


def test_the_rooms_are_in_order():
    for place, room in enumerate(ROOMS):
        for file in (FOLDER / room).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            for later in [*ROOMS[place + 1 :], "source", "programs"]:
                assert f"from ..{later}" not in text and f"from ...{later}" not in text, (file, later)
