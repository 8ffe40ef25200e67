"""
How Sphinx builds the documentation: offline, and warnings are errors.
"""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Chariots"
author = "The Chariots developers"
copyright = "2026, The Chariots developers"
release = installed_version("chariots-core")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True, "no-value": True}
# A docstring's Attributes section becomes fields: the class lists them once.
napoleon_use_ivar = True
napoleon_use_rtype = False
# House form: single backticks name code.
default_role = "code"

html_theme = "furo"
html_title = "Chariots"
html_show_sphinx = False
html_copy_source = False

# Napoleon takes "text: more text" of an attribute for a type and its text. The
# house form is a plain sentence, so attributes get back what it made of them.
_sentences: dict[str, list[str]] = {}
_PLAIN = {"attribute", "data", "property"}


def _keep(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    if what in _PLAIN:
        _sentences[name] = list(lines)


def _restore(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    if what in _PLAIN:
        lines[:] = _sentences.pop(name)


def setup(app: Sphinx) -> None:
    """
    Runs around Napoleon, which listens at priority 500.
    """
    app.connect("autodoc-process-docstring", _keep, priority=400)
    app.connect("autodoc-process-docstring", _restore, priority=600)
