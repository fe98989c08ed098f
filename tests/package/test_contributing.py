"""The worked examples of docs/contributing still fit the files that they change; tests/contributing.py carries them out."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skkeops

from ..contributing import ROOT, TESTS, apply, copy_to, patch_of

PAGES = ROOT / "docs" / "contributing"
pytestmark = pytest.mark.skipif(not PAGES.is_dir(), reason="the documentation is in the source tree")


RUN_DOCSTRINGS = """
import doctest, importlib, sys
for name in sys.argv[1:]:
    assert not doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed, name
"""


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs `patch`")
@pytest.mark.parametrize("name", TESTS)
def test_patches_fit(name, tmp_path):
    """A patch can be applied, and the examples in the docstrings of what it changes run, as far as nothing has to be compiled."""
    copy_to(tmp_path)
    shutil.copytree(Path(skkeops.__file__).parent, tmp_path / "skkeops", dirs_exist_ok=True)  # with the compiled module
    apply(name, tmp_path)
    modules = re.findall(r"^\+\+\+ b/(skkeops/.*)\.py$", patch_of(name).read_text(), re.MULTILINE)
    command = [sys.executable, "-c", RUN_DOCSTRINGS, *(m.removesuffix("/__init__").replace("/", ".") for m in modules)]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_patch_is_carried_out_and_explained():
    listed = re.findall(r"^   (\w+)$", (PAGES / "index.rst").read_text(), re.MULTILINE)
    assert {path.stem for path in PAGES.glob("*.diff")} == TESTS.keys()
    for name in TESTS:
        page = (PAGES / f"{name}.rst").read_text()
        changed = re.findall(r"^\+\+\+ b/(.*)$", patch_of(name).read_text(), re.MULTILINE)
        assert f".. literalinclude:: {name}.diff" in page
        assert not [path for path in changed if f"``{path}``" not in page]
        assert name in listed
