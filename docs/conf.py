"""Sphinx' settings; `docs/site.py` calls it."""

from __future__ import annotations

from refrestore import __version__

project = "refrestore"
author = "refrestore maintainers"
version = release = __version__
html_title = f"refrestore {__version__}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # tables that programs write begin at their own level
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

# Nothing of it comes from another machine, and it opens from a disk.
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
