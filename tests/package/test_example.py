"""The log-sum-exp page as a reader runs it."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skkeops

PAGE = Path(__file__).resolve().parents[2] / "examples" / "plot_log_sum_exp.py"


def run_page(folder, *arguments, start=(str(PAGE),)):
    """What the page prints, run in an empty folder by a new interpreter that finds the same skkeops as this one."""
    package = str(Path(skkeops.__file__).resolve().parents[1])
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": package}
    done = subprocess.run(
        [sys.executable, *start, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    folder = tmp_path_factory.mktemp("page")
    return folder, run_page(folder)


def blocks(text):
    """What is printed for each data set, by its title."""
    found = re.split(r"\n(float\d\d), spread ([\d.]+): 3000 x 5000 pairs\n", text)[1:]
    return {(dtype, float(spread)): block for dtype, spread, block in zip(*[iter(found)] * 3)}


def figures(block):
    """(values lost, largest difference of the others) of c and g."""
    pattern = r" ([cg]): the unstable way loses +(\d+) of \d+ values; the others differ by (\S+) at most"
    return {name: (int(lost), float(difference)) for name, lost, difference in re.findall(pattern, block)}


def test_both_ways_agree_where_both_are_right(page):
    found = blocks(page[1])
    for dtype, eps in (("float32", 1.2e-7), ("float64", 2.2e-16)):
        for lost, difference in figures(found[dtype, 0.4]).values():
            assert lost == 0
            assert difference < 10 * eps


def test_the_unstable_way_overflows(page):
    found = {key: figures(block) for key, block in blocks(page[1]).items()}
    assert 1000 < found["float32", 1.5]["c"][0] < 3000
    assert 0 < found["float64", 1.5]["c"][0] < found["float32", 1.5]["c"][0]
    assert 0 < found["float64", 1.5]["g"][0] < found["float32", 1.5]["g"][0]


def test_times_are_printed(page):
    assert len(re.findall(r"first call +\d+\.\d ms +warm +\d+\.\d ms", page[1])) == 4


def test_without_a_screen_the_figures_go_to_files(page):
    folder, text = page
    names = ["plot_log_sum_exp.png", "plot_log_sum_exp_2.png", "plot_log_sum_exp_3.png"]
    assert re.findall("Figure saved to (.*)", text) == names
    assert all(is_png(folder / name) for name in names)


def test_figures_go_where_they_are_told(tmp_path):
    pytest.importorskip("matplotlib")
    run_page(tmp_path, "--save", "mine.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.png", "mine_2.png", "mine_3.png"]


def test_without_matplotlib_the_numbers_are_printed(tmp_path):
    program = f"import sys, runpy; sys.modules['matplotlib'] = None; runpy.run_path({str(PAGE)!r}, run_name='__main__')"
    text = run_page(tmp_path, start=("-c", program))
    assert "Matplotlib is not installed, so there is no figure: pip install matplotlib" in text
    assert len(blocks(text)) == 4
    assert list(tmp_path.iterdir()) == []
