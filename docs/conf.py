"""Sphinx: how the documentation is built. ``make docs`` needs no network, unless SKKEOPS_DOCS_ONLINE=1 asks for links
into the documentation of other projects."""

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from members import public_members  # noqa: E402

import skkeops  # noqa: E402

project = "skkeops"
author = "The skkeops developers"
copyright = author
version = release = skkeops.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    # ours, in _ext
    "pictures",
    "operation_table",
    "reduction_table",
    "kernel_table",
    "measured",
    "symbols",
]
if importlib.util.find_spec("sphinx-mathjax-offline") is not None:
    extensions[extensions.index("sphinx.ext.mathjax")] = "sphinx-mathjax-offline"  # formulas without a network

source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "generated/pictures", "auto_examples/**/*.ipynb", "auto_examples/**/*.md5"]
templates_path = ["_templates"]
default_role = "py:obj"
add_module_names = False
toc_object_entries_show_parents = "hide"  # the names of methods alone fit into the column beside a page
suppress_warnings = ["config.cache"]  # the gallery's configuration holds functions

# skkeops.torch and skkeops.jax are documented without these, too
autodoc_mock_imports = [name for name in ("torch", "jax") if importlib.util.find_spec(name) is None]

# -- docstrings ---------------------------------------------------------------------------------------------------
autosummary_generate = True
autosummary_context = {"public_members": public_members}
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# -- design notes and the changelog, in Markdown ------------------------------------------------------------------
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]

# -- gallery ------------------------------------------------------------------------------------------------------
os.environ["SKKEOPS_DOCS_BUILD"] = "1"  # times that are measured during the build do not get into a page
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # without PyTorch, the page that needs it is shown but not run
    "filename_pattern": r"/plot_" if importlib.util.find_spec("torch") else r"/plot_(?!torch)",
    "subsection_order": "gallery_order.section",
    "within_subsection_order": "gallery_order.key",
    "doc_module": "skkeops",
    "reference_url": {"skkeops": None},
    "backreferences_dir": "generated/backreferences",
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,  # nor does the time of the whole program
    "remove_config_comments": True,
    "download_all_examples": False,
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
}

# -- links into other projects' documentation ---------------------------------------------------------------------
if os.environ.get("SKKEOPS_DOCS_ONLINE") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }

# -- the repository, where setup.cfg names it as a project URL of the name Source ----------------------------------
urls = dict(entry.split(", ", 1) for entry in importlib.metadata.metadata("skkeops").get_all("Project-URL") or [])

# -- HTML ---------------------------------------------------------------------------------------------------------
html_theme = "pydata_sphinx_theme"
html_title = "skkeops"
html_static_path = ["_static"]
html_css_files = ["skkeops.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "changelog": [], "auto_examples/index": []}
html_theme_options = {
    "logo": {"text": "skkeops"},
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "show_prev_next": True,
    **({"github_url": urls["Source"]} if "Source" in urls else {}),
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_remove_prompts = True
