"""How Sphinx builds these pages: `make docs`."""

import re
import sys
from pathlib import Path

import dulcet

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import state_machine  # noqa: E402 - it stands beside this file

project = "dulcet"
copyright = "the dulcet developers"
version = release = dulcet.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = ["myst.xref_missing"]  # links out of docs/, to README.md and its like, are for the code host

html_theme = "alabaster"
html_static_path = ["_static"]
html_css_files = ["dulcet.css"]
html_show_sourcelink = False
html_show_sphinx = False
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_theme_options = {
    "description": "The DICOM network in pure Python",
    "fixed_sidebar": True,
    "page_width": "1320px",
    "sidebar_width": "230px",
    "font_size": "16px",
}

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "no-value": True}
python_use_unqualified_type_names = True

BLOCK = re.compile(r"^\s*```")
EXAMPLE = re.compile(r"^ {2,}\S")


def plain_docstring(_app: object, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """dulcet's docstrings are plain text with `names`: made safe reStructuredText; code stays."""
    shown: list[str] = []
    is_code = False
    if lines and lines[0].startswith("Alias for field number"):  # a NamedTuple says this by itself
        lines.clear()
    for line in lines:
        if BLOCK.match(line):
            is_code = not is_code
            shown += ["", "::", ""] if is_code else [""]
        elif is_code or EXAMPLE.match(line):
            shown.append(f"    {line}" if is_code else f"| {safe(line.strip())}")
        else:
            shown.append(safe(line))
    lines[:] = shown


def safe(line: str) -> str:
    """A line of prose: `x` is code; what reStructuredText would take for markup is not."""
    parts = re.split(r"(`+[^`]+`+)", line)
    for number, part in enumerate(parts):
        parts[number] = f"``{part.strip('`')}``" if number % 2 else re.sub(r"([*|\\_])", r"\\\1", part)
    return "".join(parts)


def setup(app: object) -> None:
    """Draw what is drawn from the table, and read docstrings as they are meant."""
    state_machine.main()
    app.connect("autodoc-process-docstring", plain_docstring)  # type: ignore[attr-defined]
