"""Why a site says no: a short, coarse, closed list, and nothing else ever crosses the wire.

A reason is information too, so too few people and too close to an earlier answer look the same from outside.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The code of a refusal."""

    NOT_PERMITTED = "not_permitted"
    NO_DATA = "no_data"
    NOT_UNDERSTOOD = "not_understood"
    DISCLOSURE = "disclosure"
    ROSTER = "roster"
    LATE = "late"
    FAILED = "failed"


WORDS = {
    Code.NOT_PERMITTED: "The site has no valid permit for this study. Ask its custodian what the permit covers.",
    Code.NO_DATA: "The site does not hold what the plan asks for: the data set, a column as described, or a concept.",
    Code.NOT_UNDERSTOOD: "The site cannot read this plan or method version. The site or you need an update.",
    Code.DISCLOSURE: (
        "Held back by disclosure control: the site's answer could say too much about too few people, by itself or beside "
        "what was answered before."
    ),
    Code.ROSTER: "The site does not accept the list of sites taking part. Its custodian must trust each of them.",
    Code.LATE: "The study or its run is no longer current at the site. Run it again.",
    Code.FAILED: "The site could not finish: its operator finds the reason in the node's log.",
}


class Withheld(Exception):
    """A site's decision not to answer. `detail` stays in the site's own log and never travels."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(code.value)
        self.code, self.detail = code, detail
