"""The gallery keeps its rules, which docs/contributing/documentation.rst states."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PAGES = sorted(EXAMPLES.rglob("plot_*.py"))
WIDTH = 96  # what fits into a page on a screen of 1300 pixels

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the gallery is in the source tree")
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def shown(path):
    """The program as the gallery shows it."""
    hidden = r"^ *# sphinx_gallery_start_ignore\n.*?^ *# sphinx_gallery_end_ignore\n"
    return re.sub(hidden, "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_every_page_is_in_a_section():
    spec = importlib.util.spec_from_file_location("gallery_order", ROOT / "docs" / "_ext" / "gallery_order.py")
    order = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(order)
    assert {path.parent.name for path in EXAMPLES.glob("*/GALLERY_HEADER.rst")} == set(order.SECTIONS)
    at_the_top = {path.name for path in EXAMPLES.glob("plot_*.py")}
    assert at_the_top == {"plot_log_sum_exp.py"}, "pages go into a folder of examples/, which is their section"
    assert set(order.FIRST) <= {path.name for path in PAGES}


@each_page
def test_a_page_is_a_plain_program(path):
    """No command line, no function for all of it, nothing optional, no times of the machine that builds the page."""
    nodes = list(ast.walk(ast.parse(shown(path))))
    modules = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    assert not modules & {"argparse", "time", "timeit"}
    assert not {node.name for node in nodes if isinstance(node, ast.FunctionDef)} & {"main", "plot"}
    tries = [node for node in nodes if isinstance(node, ast.Try)]
    assert not [n for t in tries for b in t.body for n in ast.walk(b) if isinstance(n, (ast.Import, ast.ImportFrom))]


@each_page
def test_a_page_has_pictures_and_prose_between(path):
    text = shown(path)
    assert text.count("plt.show()") >= 2
    steps = re.split(r"^#{79}\n", text, flags=re.MULTILINE)[1:]
    assert len(steps) >= 3
    assert all(re.match(r"# \S", step) for step in steps), "a line of # is followed by prose"
    assert all(step.count("plt.show()") <= 1 for step in steps), "two figures of one block are shown small, beside each other"


@each_page
def test_no_block_is_empty(path):
    """The gallery leaves a grey bar where all of the code below some prose is hidden."""
    for step in re.split(r"^#{79}\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        code = re.sub(r"\A(#.*\n)+", "", step)
        hidden = re.sub(r"# sphinx_gallery_start_ignore\n.*?# sphinx_gallery_end_ignore\n", "", code, flags=re.DOTALL)
        assert hidden.strip() or not code.strip(), step


@each_page
def test_backslashes_are_what_they_look_like(path):
    # In a text that is not raw, the first letter of "frac" and the backslash before it make a form feed.
    assert not re.search(r"[\x00-\x08\x0b-\x1f\t]", ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False))


@each_page
def test_code_fits_the_page(path):
    lines = shown(path).splitlines()
    after_the_text = ast.parse(shown(path)).body[0].end_lineno
    long = [line for line in lines[after_the_text:] if len(line) > WIDTH and not line.startswith("# ")]
    assert not long, "\n".join(long)
