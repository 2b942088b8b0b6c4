"""The public register with a million entries: to append one, to prove one, to show a page of them, in CPU time."""

from __future__ import annotations

import datetime as dt
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from benchmarks.tables import markdown
from civicgrid.governance.entry import Entry
from civicgrid.governance.register import ApplicationSubmitted, Decision, PermitGranted, Release, ResultPublished, Run
from civicgrid.hub import database as db
from civicgrid.hub.register import Register
from civicgrid.trust.keys import SigningKey

ENTRIES, AT_ONCE, TIMES = 1_000_000, 2_000, 300
SITES = tuple(f"site-{number}" for number in range(40))
TOPICS = "asthma diabetes stroke cancer frailty sleep falls sepsis dementia eczema migraine gout".split()  # noqa: SIM905
PLACES = "towns schools homes clinics villages harbours islands".split()  # noqa: SIM905
NOW = 1_795_000_000


def project(rng: random.Random, number: int) -> list[Entry]:
    """What stands of one project, near enough: an application, decisions, permits, some runs and what came of them."""
    name, sites = f"P-{number}", tuple(rng.sample(SITES, rng.randint(3, 10)))
    topic, place = rng.choice(TOPICS), rng.choice(PLACES)
    day = dt.date(2026, 1, 1)
    made: list[Entry] = [
        ApplicationSubmitted(
            project=name,
            title=f"{topic} in {place}, question {number}",
            summary=f"We want to know why {topic} is worse in some {place} than in others, and what could be done there.",
            benefit=f"Whoever plans care in {place} would know where to begin.",
            organisation=f"University {number % 60}",
            lead=f"{number:064x}",
            sites=sites,
            datasets=(topic,),
        )
    ]
    for site in sites:
        made.append(Decision(project=name, by="custodian", body=f"Hospital {site}", site=site, outcome="approved"))
        made.append(
            PermitGranted(
                project=name,
                site=site,
                organisation=f"Hospital {site}",
                permit="a" * 64,
                start=day,
                end=day,
                datasets=(topic,),
            )
        )
    for run in range(rng.randint(5, 20)):
        digest = f"{number:032x}{run:032x}"
        made.append(Run(project=name, run=digest, plan="b" * 64, state="began", sites=sites, datasets=(topic,)))
        for site in sites:
            made.append(Release(project=name, run=digest, site=site, organisation=f"Hospital {site}", shares=("c" * 64,)))
        made.append(Run(project=name, run=digest, plan="b" * 64, state="finished"))
    made.append(ResultPublished(project=name, title=f"{topic} in {place}", summary="It is the air.", run=digest))
    return made


def filled(register: Register) -> None:
    rng, waiting, number = random.Random(7), list[Entry](), 0
    while register.size() < ENTRIES:
        while len(waiting) < AT_ONCE:
            waiting += project(rng, number)
            number += 1
        with register.engine.begin() as connection:
            register.append(connection, waiting[:AT_ONCE], NOW)
        del waiting[:AT_ONCE]


def measured(do: Callable[[int], object], times: int = TIMES) -> tuple[float, float]:
    """Milliseconds of CPU: the median, and the most that one of a hundred took."""
    found = []
    for number in range(times):
        began = time.process_time()
        do(number)
        found.append(1000 * (time.process_time() - began))
    found.sort()
    return median(found), found[-max(1, times // 100)]


def run() -> str:
    """The table: milliseconds of CPU time, and the target."""
    with tempfile.TemporaryDirectory() as folder:
        engine = db.connect(f"sqlite:///{Path(folder) / 'hub.sqlite'}")
        register = Register(engine, "net", "hub.example/net", SigningKey.generate(), SigningKey.generate())
        began = time.process_time()
        filled(register)
        filling = 1e6 * (time.process_time() - began) / ENTRIES
        size = register.size()
        rng = random.Random(8)
        single = project(rng, 10**7)

        def append(number: int) -> None:
            with engine.begin() as connection:
                register.append(connection, (single[number % len(single)],), NOW)

        pages: dict[str, dict[str, str]] = {
            "the newest page": {},
            "a page of one site": {"site": "site-7"},
            "a page of one project": {"project": "P-77"},
            "a page of one kind at one site": {"site": "site-7", "kind": "result"},
            "a page for three words": {"text": "asthma villages islands"},
            "a page for a word and a kind that has none of it": {"text": "gout", "kind": "release"},
        }
        rows: list[tuple[str, tuple[float, float], float]] = [("append one entry", measured(append), 1)]
        rows.append(("prove that one is in it", measured(lambda n: register.inclusion(rng.randrange(size), size)), 10))
        rows.append(("prove that it only grew", measured(lambda n: register.consistency(rng.randrange(1, size), size)), 10))
        rows.append(("sign a checkpoint, after one more", measured(lambda n: (append(n), register.checkpoint()), 50), 10))
        for name, where in pages.items():

            def page(number: int, where: dict[str, str] = where) -> None:
                for shown in register.page(20, **where).entries:  # type: ignore[arg-type]
                    assert shown.leaf is not None
                    shown.leaf.entry.sentence()

            rows.append((name, measured(page, 60), 100))
        with engine.connect() as connection:
            held = sa.text("select page_count * page_size from pragma_page_count, pragma_page_size")
            stored = connection.execute(held).scalar_one()
        engine.dispose()
    return markdown(
        f"The public register with {size:,} entries, on SQLite",
        ["to", "ms of CPU", "slowest of a hundred", "target"],
        [[name, f"{middle:.2f}", f"{most:.2f}", f"{target:g}"] for name, (middle, most), target in rows],
        [f"Filled {AT_ONCE:,} at a time in {filling:.0f} µs of CPU an entry; {stored / size:.0f} bytes an entry on disk."],
    )
