"""What a rival can spoil by asking first: others are refused until the epoch ends, and it is written down who asked."""

from __future__ import annotations

import civicgrid as cg
from attacks.trial import DATASET, FRAMES
from civicgrid.methods.plan import Plan
from unit.node.sites import World


def answered(at: World, plan: Plan, project: str) -> dict[str, str]:
    """What became of each site when this project asked."""
    at.request = lambda plan, project=project: World.request(at, plan, project=project)  # type: ignore[method-assign]
    return {site.site: site.status for site in at.run(plan).analyses[0].sites}


def test_what_a_rival_blocks_and_for_how_long() -> None:
    at = World(FRAMES)
    for site, trust in at.trust.items():
        trust.own_permits.append(at.permit(site, project="P-2", pooled_threshold=True))
    known = at.sites["ash"].data.holdings()[0].dictionary
    assert known is not None
    t = cg.dataset(DATASET, known)
    rival, wanted, other = (
        at.plan(cg.Count(cg.cohort(condition)))
        for condition in (t.positive & (t.year != 1900), t.positive, t.positive & (t.ward < 3))
    )
    everywhere = dict.fromkeys(FRAMES, "answered")
    assert answered(at, rival, "P-2") == everywhere

    # One question blocks what is near to it, and at every site: to ash it is about one person more, to the others about
    # the very same people by other conditions.
    assert answered(at, wanted, "P-1") == dict.fromkeys(FRAMES, "suppressed")
    assert answered(at, other, "P-1") == everywhere

    # The site's own log says which project asked before.
    lines = [str(tuple(row)) for row in at.sites["ash"].state.connection.execute("select * from audit")]
    assert any("accepted" in line and '"P-2"' in line for line in lines)

    # The custodians may end the epoch, having read that.
    for site in at.sites.values():
        with site.state.transaction("epoch-ended"):
            assert site.state.epochs.end(site.state.clock())
    assert answered(at, wanted, "P-1") == everywhere


def test_a_rival_blocks_only_what_its_permit_covers() -> None:
    """A permit for plans that somebody has read is one for what they block as well."""
    at = World(FRAMES)
    known = at.sites["ash"].data.holdings()[0].dictionary
    assert known is not None
    t = cg.dataset(DATASET, known)
    rival, wanted = (at.plan(cg.Count(cg.cohort(each))) for each in (t.positive & (t.year != 1900), t.positive))
    read = at.plan(cg.Count(cg.dataset(DATASET)))
    for site, trust in at.trust.items():
        trust.own_permits.append(at.permit(site, project="P-2", plans=(read.digest(),)))
    assert set(answered(at, rival, "P-2").values()) == {"refused"}
    assert set(answered(at, wanted, "P-1").values()) == {"answered"}
