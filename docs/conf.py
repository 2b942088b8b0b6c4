"""The documentation site: Sphinx with MyST pages and the furo theme. `make docs` builds it, warnings as errors."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent / "src")]

from civicgrid import __version__  # noqa: E402 - the path above comes first

project = "Civic Grid"
author = "the Civic Grid authors"
release = version = __version__
extensions = ["myst_parser", "language_spec", "method_manual", "command_reference"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "extensions"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
language = "en-GB"
html_theme = "furo"
html_title = f"Civic Grid {__version__}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
pygments_style = "friendly"
