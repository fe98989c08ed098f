"""The documentation: every block of Python runs, every message that it explains exists, every picture is up to date."""

import ast
import doctest
import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import skkeops

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = Path(skkeops.__file__).resolve().parent
WRITTEN = [
    path for path in sorted(DOCS.rglob("*.rst")) if not {"_build", "generated", "auto_examples", "_templates"} & set(path.parts)
]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is in the source tree")


def name(path):
    return str(path.relative_to(DOCS))


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_every_example_runs(path):
    if "dask" in path.read_text():
        pytest.importorskip("dask")
    failed, _ = doctest.testfile(str(path), module_relative=False, optionflags=OPTIONS)
    assert failed == 0


def test_there_are_examples():
    texts = [path.read_text() for path in WRITTEN]
    assert sum(text.count("\n>>> ") + text.count("   >>> ") for text in texts) > 200


@pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="the README is in the source tree")
@pytest.mark.filterwarnings("ignore")
def test_the_readme_can_be_pasted():
    """Its blocks of Python run one after the other, on a tenth of the points where the matrix of pairs would take 1600 MB."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 3 and "10_000" in blocks[0]
    names = {}
    for block in blocks:
        exec(block.replace("10_000", "1_000"), names)


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_python_is_never_shown_without_being_run(path):
    """What is Python is a doctest; other blocks say that they are something else."""
    languages = re.findall(r"^ *\.\. (?:code-block|code|sourcecode):: *(\S*)", path.read_text(), re.MULTILINE)
    assert set(languages) <= {"bash", "text", "diff", "ini", "toml", "c", "cython"}


@pytest.mark.parametrize("path", [*WRITTEN, *ROOT.glob("README.md")], ids=lambda path: path.name)
def test_code_fits_the_page(path):
    """A line of code that is longer than the page is wide is cut off, and most of all its comment.

    At 1300 pixels a hundred characters fit. Lines of patches and of the design notes are broken (skkeops.css)."""
    text = path.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)  # of Markdown
    blocks += re.findall(r"^ *\.\. code-block::.*\n((?:\n|   .*\n)*)", text, re.MULTILINE)
    blocks += re.findall(r"^ *(?:>>>|\.\.\.) .*$", text, re.MULTILINE)
    long = [line for block in blocks for line in block.splitlines() if len(line) > 100]
    assert not long, "\n".join(long)


def messages():
    """The texts that the code may say: string literals, with an ellipsis for what is put into them."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)


def explained():
    text = (DOCS / "troubleshooting.rst").read_text()
    return re.findall(r"^   \* - ``(.*)``$", text, re.MULTILINE)


def test_every_message_that_is_explained_exists():
    known = list(messages())
    found = explained()
    assert len(found) > 50
    missing = []
    for message in found:
        pieces = [piece for piece in message.split("…") if len(piece.strip(" :;,.()")) > 2]
        assert pieces, message
        if not all(any(piece.strip() in text for text in known) for piece in pieces):
            missing.append(message)
    assert not missing, "\n".join(missing)


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return importlib.import_module("pictures")


def test_the_picture_of_the_readme_is_up_to_date(pictures):
    assert (DOCS / "_static" / "pairs.svg").read_text() == pictures.pairs().svg()


def test_no_text_of_a_picture_is_cut_off(pictures):
    """Browsers take the font of the system: texts fit in one that is as wide as any."""
    textpath = pytest.importorskip("matplotlib.textpath")
    drawn = [*pictures.PICTURES]
    if importlib.util.find_spec("docutils"):  # measured.py is an extension of Sphinx
        drawn.append(importlib.import_module("measured").beside)
    for draw in drawn:
        picture = draw()
        for text in ElementTree.fromstring(picture.svg()).iter("{http://www.w3.org/2000/svg}text"):
            content = "".join(text.itertext()).replace("\u200b", "").strip()
            font = {"family": "DejaVu Sans Mono" if "mono" in text.get("font-family") else "DejaVu Sans"}
            font["weight"] = text.get("font-weight")
            box = textpath.TextPath((0, 0), content, size=float(text.get("font-size")), prop=font).get_extents()
            left = float(text.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")] * box.width
            assert left > 0 and left + box.width < picture.width, f"{draw.__name__}: {content}"


def test_every_public_name_has_its_place_in_the_reference():
    text = (DOCS / "api.rst").read_text()
    listed = set(re.findall(r"^   ([\w.]+)$", text, re.MULTILINE))
    assert set(skkeops.__all__) - {"__version__"} <= listed
    for module in ("kernels", "cluster", "solvers"):
        public = set(importlib.import_module(f"skkeops.{module}").__all__) - {"RBF"}
        assert public <= listed, f"{module}: {sorted(public - listed)}"


def test_links_of_estimators_lead_to_their_pages():
    """scikit-learn shows a link in notebooks: it is that of the page that autosummary writes."""
    text = (DOCS / "api.rst").read_text()
    assert ".. module:: skkeops\n\n.. autosummary::\n   :toctree: generated/api" in text
    for name in ("KernelSum", "KernelDensity", "KernelRidge"):
        link = getattr(skkeops, name)()._get_doc_link()
        assert link.endswith(f"/generated/api/skkeops.{name}.html")
