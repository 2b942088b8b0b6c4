"""The states of an application: one table of what leads from which to which. The diagram in the docs is drawn from it.

Acts of custodians and panels move the application too, once what they decide settles it. `go` is the only way in which an
application's state changes, and it follows the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from civicgrid.errors import StateError

STATES: Mapping[str, str] = {
    "draft": "being written",
    "deciding": "with the sites and panels that decide",
    "questioned": "waiting for an answer from whoever applied",
    "approved": "approved; a site has yet to sign its permit",
    "permitted": "permitted at one site or more",
    "finished": "finished, results published",
    "refused": "refused",
    "withdrawn": "taken back by whoever applied",
    "lapsed": "ended, since no answer came in time",
    "revoked": "ended, since no permit stands any more",
}


@dataclass(frozen=True)
class Move:
    """A row: from this state, this act leads to one of these states. `who` and `clock` are for people to read."""

    before: str
    act: str
    after: tuple[str, ...]
    who: str
    clock: str = ""


_DECIDED = ("deciding", "approved", "refused")

TABLE: tuple[Move, ...] = (
    Move("draft", "application.submit", ("deciding",), "the lead", "decision"),
    Move("draft", "application.withdraw", ("withdrawn",), "the lead"),
    Move("deciding", "application.withdraw", ("withdrawn",), "the lead"),
    Move("questioned", "application.withdraw", ("withdrawn",), "the lead"),
    Move("approved", "application.withdraw", ("withdrawn",), "the lead"),
    Move("deciding", "decision.ask", ("questioned",), "a custodian", "application"),
    Move("questioned", "decision.ask", ("questioned",), "a custodian", "application"),
    Move("questioned", "decision.answer", ("deciding", "questioned"), "the lead"),
    Move("questioned", "application.lapse", ("lapsed",), "the hub"),
    Move("deciding", "decision.approve", ("deciding", "approved"), "a custodian"),
    Move("deciding", "decision.second", ("deciding", "approved"), "a second custodian"),
    Move("deciding", "decision.refuse", _DECIDED, "a custodian"),
    Move("deciding", "deliberation.close", _DECIDED, "a panel's chair"),
    Move("questioned", "decision.approve", ("questioned",), "a custodian"),
    Move("questioned", "decision.second", ("questioned",), "a second custodian"),
    Move("questioned", "decision.refuse", ("questioned",), "a custodian"),
    Move("questioned", "deliberation.close", ("questioned", *_DECIDED), "a panel's chair"),
    Move("approved", "decision.permit", ("permitted",), "a custodian", "result"),
    Move("permitted", "decision.permit", ("permitted",), "a custodian"),
    Move("permitted", "decision.revoke", ("permitted", "revoked"), "a custodian"),
    Move("permitted", "application.finish", ("finished",), "the lead"),
    Move("refused", "application.revise", ("draft",), "the lead"),
    Move("lapsed", "application.revise", ("draft",), "the lead"),
    Move("withdrawn", "application.revise", ("draft",), "the lead"),
    Move("revoked", "application.revise", ("draft",), "the lead"),
)


def before(act: str) -> frozenset[str]:
    """The states from which an act moves an application."""
    return frozenset(move.before for move in TABLE if move.act == act)


def go(state: str, act: str, after: str) -> str:
    """The state that an act leads to. StateError where the table does not say so."""
    if any(move.before == state and move.act == act and after in move.after for move in TABLE):
        return after
    raise StateError(
        f"The application is {STATES[state]}, and cannot be {STATES.get(after, after)} by this. Look at it again."
    )


def diagram() -> str:
    """The table as a Mermaid state diagram: one arrow for each pair of states, with the acts that lead along it."""
    arrows: dict[tuple[str, str], list[str]] = {("[*]", "draft"): ["begin"]}
    for move in TABLE:
        for after in move.after:
            if after != move.before:
                arrows.setdefault((move.before, after), []).append(move.act.replace("application.", ""))
    lines = ["stateDiagram-v2"]
    lines += [f"    {start} --> {end}: {', '.join(acts)}" for (start, end), acts in arrows.items()]
    lines += [f"    {state} --> [*]" for state in STATES if not any(move.before == state for move in TABLE)]
    return "\n".join(lines)
