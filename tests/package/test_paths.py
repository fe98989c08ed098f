"""What the documentation says is where: every file, module, function and class that it names is there."""

import ast
import fnmatch
import functools
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WRITTEN = [*sorted(DOCS.rglob("*.rst")), *sorted(DOCS.rglob("*.md")), *ROOT.glob("README.md")]
#: Sphinx makes some pages; the changelog names what was there once.
PAGES = [path for path in WRITTEN if not {"_build", "generated", "auto_examples", "_templates", "changelog.md"} & set(path.parts)]
FOLDERS = ("skkeops", "cython_ext", "tests", "docs", "benchmarks", "examples", ".ci")
SUFFIXES = "py|pyi|pyx|pxd|pxi|c|h|inc|def|rst|md|diff|svg"
#: What Sphinx makes, and files of FreeBSD's mathematical library.
ELSEWHERE = re.compile(r"docs/(_build|generated|auto_examples)\b|[eks]_\w+\.c$")
#: A path that starts in one of the folders above, wherever it stands in a text; it may have a star.
PATH = re.compile(rf"(?<![\w/.-])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*)")
#: A file between backquotes, by a path that may leave out the first folder, and names of what is in it: `pairs/ranges.py: Ranges`.
#: What is between the backquotes may be broken over two lines.
FILE = re.compile(rf"`((?:[\w.-]+/)*[\w-]+\.(?:{SUFFIXES}))(?::\s*([\w.,\s]+))?`")
DOTTED = re.compile(r"(?<![\w/.])(skkeops(?:\.[A-Za-z_]\w*)+)(?![\w/])")

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is in the source tree")


def added(page):
    """The files that a worked patch of the page's name adds, which are there when it has been carried out."""
    patch = page.with_suffix(".diff")
    return re.findall(r"^--- /dev/null\n\+\+\+ b/(.*)$", patch.read_text(), re.MULTILINE) if patch.exists() else []


@functools.cache
def everything():
    """The paths of all files and folders."""
    folders = [ROOT / name for name in FOLDERS]
    paths = [*ROOT.glob("*.*"), *folders, *(path for folder in folders for path in folder.rglob("*"))]
    return [path.relative_to(ROOT).as_posix() for path in paths if "__pycache__" not in path.parts]


def found(path):
    """The files and folders that a path in a text may mean: the end of a path is enough."""
    return [ROOT / there for there in everything() if fnmatch.fnmatch(f"/{there}", f"*/{path.rstrip('./')}")]


def words(file):
    """The names that a file defines or uses."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return set(re.findall(r"\w+", text))
    names = set()
    for node in ast.walk(ast.parse(text)):
        for field in ("id", "attr", "name", "arg", "asname"):
            value = getattr(node, field, None)
            names |= set(value.split(".")) if isinstance(value, str) else set()
    return names


def exists(dotted):
    """Whether a dotted name is that of a module, or of something that can be reached from one."""
    parts = dotted.split(".")
    for k in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError as error:
            if error.name and not error.name.startswith("skkeops"):
                return True  # the module is there; what it needs is optional, and not installed
            continue
        for name in parts[k:]:
            if not hasattr(thing, name):
                return False
            thing = getattr(thing, name)
        return True
    return False


def faults(text, new=()):
    """What a text names and is nowhere; `new` are files that will be there."""
    paths = [*PATH.findall(text), *(path for path, _ in FILE.findall(text))]
    missing = [path for path in paths if not (found(path) or path in new or ELSEWHERE.match(path))]
    for path, names in FILE.findall(text):
        known = set().union(*map(words, found(path)))
        missing += [f"{path}: {name}" for name in re.findall(r"\w+", names) if name not in known]
    return missing + [name for name in DOTTED.findall(text) if not exists(name)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_everything_named_is_there(page):
    assert not faults(page.read_text(encoding="utf-8"), added(page))


@pytest.mark.parametrize(
    "text",
    [
        "in skkeops/formula/no_such_file.py, say", "`pairs/no_such_file.py`", "`no_such_file.py`", "tests/no_such_*.py",
        "`formula/parser.py: no_such_name`", "`formula/parser.py: parse, no_such_name`", "`tile_engine.c: no_such_name`",
        "`formula/parser.py:\nno_such_name`", "`formula/parser.py: parse,\nno_such_name`",
        "skkeops.no_such_name", ":class:`~skkeops.Genred.no_such_name`", "skkeops.formula.no_such_module",
    ],
)  # fmt: skip
def test_what_is_missing_is_found(text):
    (fault,) = faults(text)
    assert "no_such" in fault


def test_what_is_there_is_there():
    assert not faults(
        "skkeops/formula/ and `formula/parser.py: parse`, `genred.py: Genred.__call__`, cython_ext/*.inc, skkeops.Genred.gradient. "
        "`pool.c`, tests/formula/cases.py, `skkeops.formula.parser`"
    )
