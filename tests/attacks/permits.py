"""Attacks by a hub on what a custodian has signed: forged, withdrawn, invented, or signed for another plan.

The hub is after the table of a site that it has no permit for. `test_permits.py` has every clause and every forgery.
"""

from __future__ import annotations

import base64
import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import civicgrid as cg
from attacks.attack import Attack
from attacks.rosters import TRIAL, sent
from civicgrid.config import NodeSettings
from civicgrid.disclosure.release import combine
from civicgrid.errors import TrustError
from civicgrid.governance.permit import Permit
from civicgrid.node.home import Home
from civicgrid.trust.envelope import Envelope
from civicgrid.wire import StudyRequest
from unit.node.sites import NETWORK, Enrolled, World, frame

PEOPLE = 40


def world() -> World:
    """York alone, whose share goes in the open: what the hub gets, it can read."""
    return World({"york": frame(PEOPLE)})


def read(at: World, request: StudyRequest, study: Envelope | None = None) -> int:
    """How many of York's people the hub counts under this request."""
    roster = at.roster(request, ["york"])
    enrolled = Enrolled(request, roster, {"york": at.tell("york", at.prepare(request, roster, study))[0]})
    if not enrolled.accepted:
        return 0
    ask = next(request.plan.analyses[0].method.coordinate(request.plan.schema))
    shares = sent(at, enrolled, ask)
    return int(np.asarray(next(iter(combine([shares["york"]]).values())).values).sum()) if shares else 0


def home(folder: str) -> Home:
    """A node's own folder, which only the site changes."""
    made = Home(Path(folder) / "york")
    made.create(NodeSettings(network=NETWORK, site="york", organisation="York", hub="http://127.0.0.1:1", hub_key="k"))
    return made


def _forged(defended: bool) -> int:
    """A permit for another project, signed with the hub's own key, in the very folder of the node.

    Off: the hub's key among those of the custodians.
    """
    at = world()
    with tempfile.TemporaryDirectory() as folder:
        own = home(folder)
        forged = at.permit("york", project="P-2")[1].signed(at.hub)
        (own.path / "permits" / "P-2-forged.json").write_bytes(forged.canonical())
        own.add_custodian(at.custodian.public, "Cass")
        if not defended:
            own.add_custodian(at.hub.public, "a hub whose key were a custodian's")
        at.trust["york"].permits = own.permits  # type: ignore[method-assign]
        return read(at, at.request(at.plan(cg.Count(TRIAL)), project="P-2"))


def _withdrawn(defended: bool) -> int:
    """A permit that was good once: taken back by the custodian, or past its last day. The hub has kept a copy of each.

    Off: a site that checks signatures alone, and knows neither its own list nor the date.
    """
    most = 0
    for how in ("revoked", "expired"):
        at = world()
        with tempfile.TemporaryDirectory() as folder:
            own = home(folder)
            own.add_custodian(at.custodian.public, "Cass")
            changes = {"valid_until": (at.moment + dt.timedelta(hours=1)).isoformat()} if how == "expired" else {}
            permit = at.permit("york", **changes)[1]
            own.add_permit(permit.signed(at.custodian))
            kept = own.permits()
            if defended:
                at.trust["york"].permits = own.permits  # type: ignore[method-assign]
                if how == "revoked":
                    own.revoke_permit(kept[0][0][:10])
                at.moment += dt.timedelta(hours=2)
            else:
                at.trust["york"].own_permits = kept
            most = max(most, read(at, at.request(at.plan(cg.Count(TRIAL)))))
    return most


class _TakesTheHubsWord:
    """What a site would trust that has no permits of its own: whatever the hub's database says is approved."""

    def __init__(self, at: World) -> None:
        self.at, self.trusted = at, at.trust["york"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trusted, name)

    def permits(self) -> list[tuple[str, Permit]]:
        return [self.at.permit("york", project=project) for project in ("P-1", "P-2")]


def _approved_by_hand(defended: bool) -> int:
    """In the hub's database the application of another project is set to approved; the hub sends its study."""
    at = world()
    if not defended:
        at.sites["york"].trusted = _TakesTheHubsWord(at)
    return read(at, at.request(at.plan(cg.Count(TRIAL)), project="P-2"))


def _changed_plan(defended: bool) -> int:
    """The custodian approved a count of a few columns; the hub puts another plan into the signed study.

    Off: a site that takes the hub's signature for the researcher's.
    """
    at = world()
    approved, other = at.plan(cg.Count(TRIAL)), at.plan(cg.Describe(TRIAL, columns=["sex"]))
    signed = at.request(approved).signed(at.person)
    permits = [at.permit("york", plans=(approved.digest(),))]
    if not defended:
        permits.append(at.permit("york", people=({"name": "the hub", "key": at.hub.public},)))
    at.trust["york"].own_permits = permits
    found = 0
    for person in (at.person, at.hub):
        changed = at.request(other, person=person.public)
        payload = base64.b64encode(changed.canonical()).decode()
        ways = [signed.model_copy(update={"payload": payload}), changed.signed(at.hub), changed.signed(at.person)]
        found = max(found, *(_tried(at, changed, study) for study in ways))
    return found


def _tried(at: World, request: StudyRequest, study: Envelope) -> int:
    try:
        return read(at, request, study)
    except TrustError:
        return 0


ATTACKS = [
    Attack("a forged permit", "hub", "custodians' keys", PEOPLE, _forged),
    Attack("a withdrawn permit used again", "hub", "permits read at every task", PEOPLE, _withdrawn),
    Attack("a hub's database edited to approved", "hub", "permits", PEOPLE, _approved_by_hand),
    Attack("a plan changed after approval", "hub", "signed studies, plan digests", PEOPLE, _changed_plan),
]
