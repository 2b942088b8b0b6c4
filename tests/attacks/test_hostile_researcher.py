"""What a researcher with a permit sees, looked at more closely than by the attacks of `tables.py` and `models.py`."""

from __future__ import annotations

import numpy as np
import pytest

import civicgrid as cg
from attacks.tables import CELLS, DATA, SIZES, crossed, numbers, shown
from attacks.trial import grid
from unit.disclosure.test_rules import attack as ends
from unit.node.sites import frame


def test_the_answer_of_all_says_nothing_of_a_site_of_four() -> None:
    """Where the total is shown, it is rounded, and no number stands beside it for any one site."""
    made = grid(True, {site: frame(size) for site, size in SIZES.items()})
    result = made.run(cg.Count(DATA))
    assert result.to_pandas()["people"].item() == 460
    assert set(result.sites.to_pandas().columns) == {"site", "status", "code", "words"}
    assert not [number for number in numbers(result.to_dict()) if number in (4, 163, 152, 141)]


def test_a_hidden_cell_stays_uncertain_by_ten() -> None:
    """Judged apart from the product: over all tables that agree with what is shown."""
    parts = {f"s{number}": crossed(CELLS).iloc[number::3] for number in range(3)}
    hidden = np.isnan(shown(grid(True, parts).run(cg.Crosstab(DATA, rows="down", columns="across"))))
    assert hidden[0, 0]
    assert hidden[2, 1]
    for cell in ((0, 0), (2, 1)):
        least, most = ends(CELLS, hidden, cell)
        assert least == 0 and most >= 10, "nobody, a few or more"


def test_percentages_and_statistics_do_not_give_a_hidden_cell_back() -> None:
    parts = {f"s{number}": crossed(CELLS).iloc[number::3] for number in range(3)}
    result = grid(True, parts).run(cg.Crosstab(DATA, rows="down", columns="across"))
    table = result.to_pandas()
    columns = next(iter(result.tables.values())).columns
    counts = [column.name for column in columns if column.format == "count"]
    for name in counts[:-1]:
        assert table.loc[table[name].isna(), f"{name} %"].isna().all()
    assert not any(value for value in numbers(result.facts) if value == pytest.approx(_chi_square(CELLS), rel=1e-6))


def _chi_square(cells: np.ndarray) -> float:
    from scipy.stats import chi2_contingency

    return float(chi2_contingency(cells, correction=False).statistic)
