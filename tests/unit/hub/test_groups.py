"""Many sites: masks cancel within groups, so that the loss of one site costs its group and not the run."""

from __future__ import annotations

from typing import Any

import civicgrid as cg
from civicgrid.hub.coordinator import Dispatch
from civicgrid.trust.roster import groups
from civicgrid.wire import Round, StudyResult
from unit.node.sites import World, frame

TRIAL = cg.dataset("trial")
NAMES = tuple(f"s{number:02}" for number in range(12))


def world(**sizes: int) -> World:
    """Twelve sites, each of an organisation of its own."""
    return World({name: frame(sizes.get(name, 60 + number)) for number, name in enumerate(NAMES)})


def people(result: StudyResult, analysis: int = 0) -> Any:
    output = result.analyses[analysis].output
    return None if output is None else output.tables[0].rows[0][-1]


def statuses(result: StudyResult, analysis: int = 0) -> dict[str, str]:
    return {site.site: site.status for site in result.analyses[analysis].sites}


def group_of(at: World, site: str) -> set[str]:
    dealt = groups(at.member(name) for name in NAMES)
    assert len(dealt) == 2
    return next(set(group) for group in dealt if site in group)


def test_the_answer_is_that_of_all_sites_together() -> None:
    at = world()
    fit = cg.GLM(TRIAL, outcome="age", predictors=["died"], family="gaussian")
    result = at.run(at.plan(cg.Count(TRIAL), fit), published=cg.Policy.open().thresholds)
    assert set(statuses(result).values()) == {"answered"}
    assert result.analyses[0].mode == "masked"
    assert people(result) == round(sum(60 + n for n in range(12)) / 5) * 5
    assert result.analyses[1].output is not None


def lose(site: str, analysis: str, number: int) -> Any:
    def lost(dispatch: Dispatch, who: str) -> bool:
        header = dispatch.frame.header
        return who == site and isinstance(header, Round) and (header.analysis, header.round) == (analysis, number)

    return lost


def test_the_loss_of_a_site_costs_its_group_and_the_others_go_on() -> None:
    """With one small site, which is lost when its people have been counted: its group could be read by subtraction."""
    at = world(s03=4)
    with_it = group_of(at, "s03")
    plan = at.plan(cg.Count(TRIAL), cg.Describe(TRIAL, columns=["sex"]))
    result = at.run(plan, lose=lose("s03", "describe1", 0))
    assert set(statuses(result).values()) == {"answered"}
    second = statuses(result, 1)
    assert second["s03"] == "offline"
    assert {second[name] for name in with_it - {"s03"}} == {"suppressed"}
    assert {second[name] for name in NAMES if name not in with_it} == {"answered"}
    assert result.analyses[1].output is not None


def test_a_site_that_is_away_changes_nobody_elses_group() -> None:
    at = world(s03=4)
    assert set(statuses(at.run(at.plan(cg.Count(TRIAL)))).values()) == {"answered"}
    away = next(iter(sorted(group_of(at, "s03") - {"s03"})))
    again = statuses(at.run(at.plan(cg.Count(TRIAL), title="again"), offline=[away]))
    assert again[away] == "offline"
    assert {again[name] for name in NAMES if name not in group_of(at, "s03")} == {"answered"}


def test_where_one_group_has_too_few_organisations_left_its_sites_are_left_out() -> None:
    at = world()
    first = sorted(group_of(at, "s00"))
    result = at.run(at.plan(cg.Count(TRIAL)), offline=first[2:])
    found = statuses(result)
    assert {found[name] for name in first[:2]} == {"refused"}
    assert {found[name] for name in NAMES if name not in first} == {"answered"}
