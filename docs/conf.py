"""Sphinx builds the site from the Markdown pages, which also read well on a repository's web page: ``make docs``.

The source directory is the root of the repository, so that links from docs/ to README.md, benchmarks/ and the code are plain
relative links. ``make docs`` turns warnings into errors: a broken link, a missing heading, a docstring that does not parse.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # autodoc imports the package from this checkout

project = "a3c_exp"
author = "a3c_exp developers"
copyright = "2026, a3c_exp developers"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.apidoc", "sphinx.ext.viewcode"]

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "*/README.md"]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "a3c_exp",
    "tests",
    "outputs/[!R]*",
    "docs/ablation-report",
    "docs/generate",
    "docs/studies",
    "docs/templates",
    "**/__pycache__",
]

# The headings of a page are link targets under the names that GitHub gives them.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # docs/generate/write_notebook.py keeps the outputs, and a test executes it

# One page for each package, written anew at each build. A package re-exports names of its modules, which document them.
apidoc_modules = [
    {
        "path": "../a3c_exp",
        "destination": "docs/api",
        "exclude_patterns": ["**/__main__.py", "../a3c_exp/conf"],
        "max_depth": 1,
        "implicit_namespaces": False,
        "automodule_options": {"members", "ignore-module-all", "show-inheritance"},
    }
]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # torch's and gymnasium's own docstrings refer to labels of their own sites
suppress_warnings = ["ref.python"]  # "Attributes:" of several classes name the same attribute
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "a3c_exp"
html_baseurl = ""
templates_path = ["templates"]
html_additional_pages = {"index": "redirect.html"}
