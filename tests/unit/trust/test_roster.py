"""A roster holds only if every member signed it and every member is the one that this site pinned."""

from __future__ import annotations

import json

import numpy as np
import pytest

from civicgrid.errors import PlanError, TrustError
from civicgrid.trust import roster as rosters
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.masks import MaskContext, combine, mask
from civicgrid.trust.roster import ROSTER, Member, Roster, check, check_member

NAMES = ["bath", "hull", "leeds", "york"]
SIGNING = {name: SigningKey.generate() for name in NAMES}
EXCHANGE = {name: ExchangeKey.generate() for name in NAMES}
PINS = {
    name: Member(site=name, organisation=f"{name} trust", signing=SIGNING[name].public, exchange=EXCHANGE[name].public)
    for name in NAMES
}


def roster(*members: Member, **changes: object) -> Roster:
    fields = {"network": "demo", "study": "S-1", "run": "R-1", "attempt": 1, "plan": "ab" * 32}
    return Roster(**{**fields, "members": members or tuple(PINS.values()), **changes})


def signed(value: Roster, keys: dict[str, SigningKey] = SIGNING) -> Envelope:
    first, *others = (value.sign(keys[member.site]) for member in value.members)
    return first.joined(*others)


def test_a_roster_that_all_signed_comes_back() -> None:
    envelope = Envelope.from_bytes(signed(roster()).canonical())
    for own in NAMES:
        got = check(envelope, PINS, own)
        assert got == roster()
        assert got.mode == "masked"
        assert got.peers(own) == tuple(EXCHANGE[name].public for name in NAMES if name != own)


def test_masks_of_a_checked_roster_cancel() -> None:
    got = check(signed(roster()), PINS, "hull")
    context = MaskContext(network="demo", study="S-1", round=0, attempt=1, roster=got.digest(), ask="00" * 32)
    part = np.array([[5, 0]], dtype=np.uint64)
    total = combine([mask(part, EXCHANGE[name], got.peers(name), context) for name in NAMES])
    assert total.tolist() == [[20, 0]]


def test_refuses_a_roster_that_somebody_has_not_signed() -> None:
    value = roster()
    envelope = value.sign(SIGNING["bath"]).joined(value.sign(SIGNING["hull"]), value.sign(SIGNING["york"]))
    with pytest.raises(TrustError, match="'leeds' has not signed"):
        check(envelope, PINS, "bath")
    twice = envelope.joined(value.sign(SIGNING["hull"]))
    with pytest.raises(TrustError, match="'leeds' has not signed"):
        check(twice, PINS, "bath")


@pytest.mark.parametrize("field", ["signing", "exchange", "organisation"])
def test_refuses_a_peer_that_the_hub_has_swapped(field: str) -> None:
    hub = SigningKey.generate()
    other = {"signing": hub.public, "exchange": ExchangeKey.generate().public, "organisation": "bath trust"}[field]
    swapped = PINS["leeds"].model_copy(update={field: other})
    value = roster(PINS["bath"], PINS["hull"], swapped, PINS["york"])
    keys = {**SIGNING, "leeds": hub} if field == "signing" else SIGNING
    with pytest.raises(TrustError, match=f"'leeds' is on the roster with another {field} than"):
        check(signed(value, keys), PINS, "bath")


def test_refuses_sham_sites_beside_a_real_one() -> None:
    shams = {name: SigningKey.generate() for name in ("sham-1", "sham-2")}
    members = [
        Member(site=name, organisation=name, signing=key.public, exchange=ExchangeKey.generate().public)
        for name, key in shams.items()
    ]
    value = roster(PINS["bath"], *members)
    assert value.mode == "masked"
    with pytest.raises(TrustError, match="'sham-1' is on the roster but not among this site's pinned peers"):
        check(signed(value, {**SIGNING, **shams}), PINS, "bath")


def test_refuses_a_roster_signed_by_strangers_or_without_this_site() -> None:
    with pytest.raises(TrustError, match="trusted here; 0 came"):
        check(roster().sign(SigningKey.generate()), PINS, "bath")
    with pytest.raises(TrustError, match="This site, 'york', is not on the roster"):
        check(signed(roster(*list(PINS.values())[:3])), PINS, "york")
    with pytest.raises(TrustError, match="Expected a signed application/vnd"):
        check(Envelope.sign("text/plain", roster().canonical(), *SIGNING.values()), PINS, "bath")
    with pytest.raises(PlanError, match="not a valid Roster"):
        check(Envelope.sign(ROSTER, b"{}", *SIGNING.values()), PINS, "bath")


def test_three_organisations_are_needed_for_masks_not_three_sites() -> None:
    same = [PINS[name].model_copy(update={"organisation": "one trust"}) for name in NAMES]
    assert roster(*same).mode == "open"
    assert roster(*same[:2], PINS["leeds"]).mode == "open"
    assert roster(*same[:2], PINS["leeds"], PINS["york"]).mode == "masked"
    assert roster(PINS["bath"], PINS["hull"]).mode == "open"
    assert roster(PINS["bath"]).mode == "open"
    with pytest.raises(TrustError, match=r"at least 3 organisations .* Send the share open"):
        roster(*same).peers("bath")


def test_any_change_is_another_roster() -> None:
    base = roster()
    fewer = roster(*list(PINS.values())[:3])
    others = [roster(**{name: "x"}) for name in ("network", "study", "run", "plan")]
    assert len({each.digest() for each in [base, fewer, roster(attempt=2), *others]}) == 7


def test_members_stand_in_order_each_with_keys_of_its_own() -> None:
    bath, hull = PINS["bath"], PINS["hull"]
    for members in ((hull, bath), (bath, bath), ()):
        data = {**roster().to_data(), "members": [member.to_data() for member in members]}
        with pytest.raises(TrustError, match="in order of site, each site once"):
            Roster.from_bytes(json.dumps(data))
    for field in ("signing", "exchange"):
        twin = hull.model_copy(update={field: getattr(bath, field)})
        data = {**roster().to_data(), "members": [bath.to_data(), twin.to_data()]}
        with pytest.raises(TrustError, match="keys of its own"):
            Roster.from_bytes(json.dumps(data))
    with pytest.raises(TrustError, match="'oslo' is not on this roster"):
        roster().peers("oslo")
    with pytest.raises(TrustError, match="'oslo' is not on this roster"):
        roster()["oslo"]


def many(sites: int, organisations: int) -> tuple[Member, ...]:
    return tuple(
        Member(site=f"s{n:03}", organisation=f"o{n % organisations}", signing=f"sign{n}", exchange=f"swap{n}")
        for n in range(sites)
    )


@pytest.mark.parametrize("sites", range(3, 64))
def test_groups_are_of_five_to_ten_and_each_can_be_masked(sites: int) -> None:
    members = many(sites, organisations=sites)
    dealt = rosters.groups(members)
    assert bool(dealt) == (sites > 10)
    assert all(5 <= len(group) <= 10 for group in dealt)
    value = roster(*members, groups=dealt)
    assert value.mode == "masked"
    assert all(len(value.peers(member.site)) <= max(9, sites if not dealt else 0) for member in members)


def test_groups_never_leave_one_without_three_organisations() -> None:
    assert rosters.groups(many(20, organisations=2)) == ()
    assert len(rosters.groups(many(30, organisations=4))) == 3
    lonely = (("s000", "s001"), ("s002", "s003", "s004"))
    assert roster(*many(5, organisations=5), groups=lonely).mode == "open"


@pytest.mark.parametrize("groups", [[["bath"]], [["bath", "hull", "leeds", "york"], ["bath"]], [["a", "b", "c", "d"]]])
def test_groups_hold_every_member_once(groups: list[list[str]]) -> None:
    data = {**roster().to_data(), "groups": groups}
    with pytest.raises(TrustError, match="every member once and nobody else"):
        Roster.from_bytes(json.dumps(data))


def test_a_member_is_checked_before_it_is_pinned() -> None:
    assert check_member(PINS["bath"]) == PINS["bath"]
    with pytest.raises(TrustError, match="low-order"):
        check_member(PINS["bath"].model_copy(update={"exchange": "x25519:" + "A" * 43}))
    with pytest.raises(TrustError, match="anybody can sign for"):
        check_member(PINS["bath"].model_copy(update={"signing": "ed25519:" + "A" * 43}))
