"""The worked examples of docs/contributing still fit the files that they change; tests/contributing.py carries them out."""

import re
import shutil

import pytest

from ..contributing import ROOT, TESTS, apply, patch_of

PAGES = ROOT / "docs" / "contributing"
pytestmark = pytest.mark.skipif(not PAGES.is_dir(), reason="the documentation is in the source tree")


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs `patch`")
@pytest.mark.parametrize("name", TESTS)
def test_patches_apply(name):
    apply(name, ROOT, "--dry-run", "--fuzz=0")


def test_every_patch_is_carried_out_and_explained():
    listed = re.findall(r"^   (\w+)$", (PAGES / "index.rst").read_text(), re.MULTILINE)
    assert {path.stem for path in PAGES.glob("*.diff")} == TESTS.keys()
    for name in TESTS:
        page = (PAGES / f"{name}.rst").read_text()
        changed = re.findall(r"^\+\+\+ b/(.*)$", patch_of(name).read_text(), re.MULTILINE)
        assert f".. literalinclude:: {name}.diff" in page
        assert not [path for path in changed if f"``{path}``" not in page]
        assert name in listed
