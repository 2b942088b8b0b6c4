"""A finished study as a Five Safes RO-Crate 0.4: what was asked, who said yes, what was checked, what came out.

A crate is a folder (or a zip of one) with `ro-crate-metadata.json`, which says what each file is and what was done. `write`
makes one from a `Study`: the responsible project with its lay summary and public benefit, the requesting agent, the plan as
the workflow with its plain-English words beside it, the validation, every sign-off, every disclosure check, the execution,
and the results. The same study is always the same bytes.

A crate that somebody else made is read by `received_crate`.

Sources: S. Soiland-Reyes et al., Five Safes RO-Crate profile 0.4; RO-Crate Metadata Specification 1.2.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from civicgrid.canonical import digest
from civicgrid.errors import DataError, PlanError
from civicgrid.methods.plan import Plan

PROFILE = "https://w3id.org/5s-crate/0.4"
SPECIFICATION = "https://w3id.org/ro/crate/1.2"
WORKFLOW = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
METADATA = "ro-crate-metadata.json"
CHECKS = "https://w3id.org/shp#"
DONE = "http://schema.org/CompletedActionStatus"

MEDIA = {
    ".csv": "text/csv", ".json": "application/json", ".txt": "text/plain", ".html": "text/html", ".svg": "image/svg+xml",
}  # fmt: skip
Entity = dict[str, Any]


@dataclass(frozen=True)
class Organisation:
    """An organisation by its name, and its page or identifier where it has one."""

    name: str
    address: str = ""


@dataclass(frozen=True)
class Requester:
    """The person who asked. `orcid` as four groups of four, where they have one and agree to be named by it."""

    name: str
    organisation: Organisation
    orcid: str = ""


@dataclass(frozen=True)
class Assessment:
    """Somebody's word on the study: a custodian's or a panel's decision, a checker's or the rules' verdict.

    `by` says in what capacity ("the custodian of Leeds"), `words` what was said, `began` when it was asked for where known.
    """

    by: str
    approved: bool
    words: str
    ended: dt.datetime
    began: dt.datetime | None = None


@dataclass(frozen=True)
class Study:
    """All that a crate says. `results` are the published files by name; nothing in them has yet to be checked."""

    project: str
    title: str
    lay_summary: str
    public_benefit: str
    requester: Requester
    network: Organisation
    plan: Plan
    run: str
    began: dt.datetime
    ended: dt.datetime
    published: dt.datetime
    validation: Assessment
    sign_offs: tuple[Assessment, ...]
    disclosure: tuple[Assessment, ...]
    results: Mapping[str, bytes]
    sites: tuple[str, ...] = ()
    members: tuple[Organisation, ...] = ()
    funders: tuple[Organisation, ...] = ()
    licence: Organisation = field(
        default=Organisation("Creative Commons Attribution 4.0 International", "https://spdx.org/licenses/CC-BY-4.0")
    )

    def __post_init__(self) -> None:
        for what, given in (
            ("a lay summary", self.lay_summary), ("a public benefit", self.public_benefit), ("a result", self.results),
            ("a sign-off", self.sign_offs), ("a disclosure check", self.disclosure),
        ):  # fmt: skip
            if not given:
                raise PlanError(f"Expected {what} in the crate of a finished study; there is none. Add it.")
        if not all(each.approved for each in (self.validation, *self.sign_offs, *self.disclosure)):
            raise PlanError("Expected only approvals in the crate of a finished study; one word on it is a no.")
        for name in self.results:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
                raise PlanError("Expected results under plain file names, such as table_1.csv; another name came.")


def files(study: Study) -> dict[str, bytes]:
    """Every file of the crate by its path, the metadata among them."""
    made = {
        "lay-summary.txt": _text(study.lay_summary),
        "public-benefit.txt": _text(study.public_benefit),
        "workflow/plan.json": study.plan.canonical(),
        "workflow/plan.txt": _text(study.plan.explain()),
        **{f"results/{name}": content for name, content in sorted(study.results.items())},
    }
    if study.sites:
        made["sites.txt"] = _text("\n".join(study.sites))
    data = {"@context": f"{SPECIFICATION}/context", "@graph": _entities(study, made)}
    made[METADATA] = (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()
    return dict(sorted(made.items()))


def write_folder(study: Study, folder: Path) -> None:
    """Write the crate as a folder, which must not be there yet."""
    if folder.exists():
        raise DataError(f"There is something at {folder} already. Give a new folder for the crate.")
    for name, content in files(study).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def to_zip(study: Study) -> bytes:
    """The crate as a zip: files in order, without times or compression, so that the same study is the same bytes."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files(study).items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return held.getvalue()


def _text(words: str) -> bytes:
    return (words.rstrip() + "\n").encode()


def _time(moment: dt.datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ref(node: str) -> dict[str, str]:
    return {"@id": node}


def _entities(study: Study, made: Mapping[str, bytes]) -> list[Entity]:
    requester, project = study.requester, "#project"
    person = f"https://orcid.org/{requester.orcid}" if requester.orcid else "#requester"
    home = requester.organisation.address or "#requesting-organisation"
    network = study.network.address or "#network"
    members = {home: requester.organisation} | {
        each.address or f"#member-{number}": each for number, each in enumerate(study.members)
    }
    funders = {each.address or f"#grant-{number}": each for number, each in enumerate(study.funders)}
    actions = _actions(study, person, project, network)
    named = {
        "lay-summary.txt": "Lay summary",
        "public-benefit.txt": "Public benefit",
        "sites.txt": "What became of each site",
        "workflow/plan.json": "The plan",
        "workflow/plan.txt": "The plan in plain English",
    }
    parts = [name for name in made if not name.startswith("workflow/")]
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": study.title,
        "description": f"A finished study of project {study.project}, with its approvals, checks and results.",
        "abstract": study.lay_summary,
        "datePublished": _time(study.published),
        "conformsTo": _ref(PROFILE),
        "license": _ref(study.licence.address or "#licence"),
        "publisher": _ref(network),
        "sourceOrganization": _ref(project),
        "mainEntity": _ref("workflow/"),
        "hasPart": [_ref(name) for name in ("workflow/", *parts)],
        "mentions": [_ref(action["@id"]) for action in actions],
    }
    entities: list[Entity] = [
        {
            "@id": METADATA, "@type": "CreativeWork", "about": _ref("./"), "conformsTo": _ref(SPECIFICATION),
        },
        root,
        {"@id": PROFILE, "@type": "Profile", "name": "Five Safes RO-Crate profile"},
        {
            "@id": study.licence.address or "#licence", "@type": "CreativeWork", "name": study.licence.name,
        },
        {
            "@id": "workflow/",
            "@type": "Dataset",
            "name": study.plan.title or study.title,
            "description": study.plan.explain(),
            "identifier": study.plan.identity,
            "conformsTo": _ref(WORKFLOW),
            "hasPart": [_ref("workflow/plan.json"), _ref("workflow/plan.txt")],
        },
        *(
            {
                "@id": name,
                "@type": "File",
                "name": named.get(name, name.rsplit("/", 1)[-1]),
                "encodingFormat": MEDIA.get(Path(name).suffix, "application/octet-stream"),
                "contentSize": str(len(content)),
                "sha256": digest(content),
            }
            for name, content in made.items()
        ),
        {
            "@id": project,
            "@type": "Project",
            "name": study.title,
            "identifier": study.project,
            "description": study.public_benefit,
            "member": [_ref(node) for node in members],
            **({"funding": [_ref(node) for node in funders]} if funders else {}),
        },
        {
            "@id": person,
            "@type": "Person",
            "name": requester.name,
            "affiliation": _ref(home),
            "memberOf": [_ref(project)],
        },
        *({"@id": node, "@type": "Organization", "name": each.name} for node, each in members.items()),
        *({"@id": node, "@type": "Grant", "name": each.name} for node, each in funders.items()),
    ]  # fmt: skip
    if network not in members:
        entities.append({"@id": network, "@type": "Organization", "name": study.network.name})
    return [*entities, *actions]


def _actions(study: Study, person: str, project: str, network: str) -> list[Entity]:
    """The execution, and each word on the study, the last in the order in which they were said."""
    made: list[Entity] = [
        {
            "@id": f"#run-{study.run[:16]}",
            "@type": "CreateAction",
            "name": f"Run of the plan {study.plan.identity[:12]} over the network",
            "agent": _ref(person),
            "instrument": _ref("workflow/"),
            "object": [_ref("workflow/plan.json")],
            "result": [_ref(f"results/{name}") for name in sorted(study.results)],
            "startTime": _time(study.began),
            "endTime": _time(study.ended),
            "actionStatus": DONE,
        }
    ]
    phases = (
        ("ValidationCheck", "Validation", (study.validation,), [_ref("./")], _ref(PROFILE)),
        ("SignOff", "Sign-off", study.sign_offs, [_ref("./"), _ref("workflow/"), _ref(project)], None),
        ("DisclosureCheck", "Disclosure check", study.disclosure, [_ref("./")], None),
    )
    for kind, label, words, about, instrument in phases:
        for number, each in enumerate(sorted(words, key=lambda word: (word.ended, word.by))):
            action: Entity = {
                "@id": f"#{kind.lower()}-{number}",
                "@type": "AssessAction",
                "additionalType": _ref(CHECKS + kind),
                "name": f"{label} by {each.by}: approved",
                "description": each.words,
                "object": about[0] if len(about) == 1 else about,
                "agent": _ref(network),
                "endTime": _time(each.ended),
                "actionStatus": DONE,
            }
            if each.began is not None:
                action["startTime"] = _time(each.began)
            if instrument is not None:
                action["instrument"] = instrument
            made.append(action)
    return made
