"""Put nhsuk-frontend's styles and script under the hub's assets, without what is not ours to use.

    npm pack nhsuk-frontend@10.6.1 && python deploy/vendor_frontend.py nhsuk-frontend-10.6.1.tgz

Left out: the NHS logo, favicons and sharing images, the Frutiger font, and source maps. tests/unit/hub/test_assets.py holds it.
"""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "src" / "civicgrid" / "hub" / "assets"
DIST = "package/dist/nhsuk/"
ICONS = ("nhsuk-icon-arrow-down.svg", "nhsuk-icon-arrow-up-down.svg", "nhsuk-icon-arrow-up.svg", "nhsuk-icon-cross.svg")


def styles(css: str) -> str:
    """The style sheet without web fonts and source map, its images found beside it."""
    css = re.sub(r"@font-face\{[^}]*\}", "", css)
    css = re.sub(r"/\*# sourceMappingURL=[^*]*\*/", "", css)
    return css.replace("Frutiger W01,arial", "arial").replace("url(/assets/images/", "url(images/").strip() + "\n"


def script(js: str) -> str:
    return re.sub(r"//# sourceMappingURL=.*", "", js).strip() + "\n"


def main(archive: str) -> None:
    with tarfile.open(archive) as tar:

        def read(name: str) -> str:
            file = tar.extractfile(DIST + name)
            if file is None:
                raise SystemExit(f"Expected {DIST + name} in {archive}; it is not there.")
            return file.read().decode()

        (ASSETS / "images").mkdir(parents=True, exist_ok=True)
        (ASSETS / "nhsuk.css").write_text(styles(read("nhsuk-frontend-10.6.1.min.css")), "utf-8")
        (ASSETS / "nhsuk.js").write_text(script(read("nhsuk-frontend-10.6.1.min.js")), "utf-8")
        for icon in ICONS:
            (ASSETS / "images" / icon).write_text(read(f"assets/images/{icon}"), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
