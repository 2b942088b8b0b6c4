"""What others made and the hub shows: without the NHS logo, its icons, its font, or anything fetched from elsewhere."""

from __future__ import annotations

import re

import pytest

from civicgrid.hub.web import FILES


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_is_fetched_from_elsewhere_or_is_a_trademark(name: str) -> None:
    text = FILES[name][0].decode()
    assert not re.search(r"url\(\s*[\"']?(https?:|//|/)", text)
    assert "Frutiger" not in text and "@font-face" not in text and "sourceMappingURL" not in text
    assert "favicon" not in name and "logo" not in name and "nhsuk-icon-1" not in name


def test_every_picture_that_the_style_sheet_names_is_there() -> None:
    named = set(re.findall(r"url\((images/[^)]+)\)", FILES["nhsuk.css"][0].decode()))
    assert named and named <= set(FILES)
