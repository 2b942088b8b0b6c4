"""A record as the metadata of the HDR UK Gateway: schema 4.0.0.

The schema has no place for the health data access body, the legislation and the health category; what it asks for and a
record does not say is left out where it may be, and said to be unknown where it may not.

Source: HDRUK/schemata, hdrukdataset 4.0.0.
"""

from __future__ import annotations

from typing import Any

from civicgrid.catalogue.record import CodingSystem, Frequency, Record, Variable
from civicgrid.errors import DataError

FREQUENCIES: dict[Frequency, str] = {
    "continuous": "Continuous", "daily": "Daily", "weekly": "Weekly", "every two weeks": "Biweekly", "monthly": "Monthly",
    "every two months": "Bimonthly", "every three months": "Quarterly", "twice a year": "Biannual", "yearly": "Annual",
    "every two years": "Biennial", "irregular": "Irregular", "never": "Static", "other": "Other",
}  # fmt: skip
CODINGS: dict[CodingSystem, str] = {
    "SNOMED CT": "SNOMED CT", "ICD-10": "ICD10", "LOINC": "LOINC", "RxNorm": "RXNORM", "ATC": "ATC", "OPCS-4": "OPCS4",
    "dm+d": "DM+D",
}  # fmt: skip
WORDS = {
    "non-public": "The data are not public. Studies are sent to them, and only checked totals leave.",
    "restricted": "The data are available under conditions.",
    "public": "The data are public.",
}


def to_hdruk(record: Record, base: str) -> dict[str, Any]:
    """The record as JSON data of the schema. DataError where the record lacks what the schema cannot do without.

    `base` is the address under which the records stand, with a slash at its end.
    """
    address = base + record.identifier
    email = record.contact.email or record.custodian.contact.email
    lacking = [
        label
        for label, given in (
            ("a title of 2 or more characters", len(record.title) > 1),
            ("a summary of 5 or more characters", len(record.abstract) > 4),
            ("the number of people", record.people is not None),
            ("the day that it was first published", record.issued is not None),
            ("the custodian's name", len(record.custodian.name) > 1),
            ("an e-mail address to ask at", bool(email)),
        )
        if not given
    ]
    if lacking:
        raise DataError(f"HDR UK's schema asks for {', '.join(lacking)}. Add it to the record of {record.identifier}.")
    assert record.issued is not None
    day = (record.refreshed or record.issued).isoformat()
    data: dict[str, Any] = {
        "identifier": address,
        "version": record.version,
        "revisions": [],
        "issued": f"{record.issued.isoformat()}T00:00:00Z",
        "modified": f"{day}T00:00:00Z",
        "summary": {
            "title": record.title,
            "abstract": record.abstract,
            "dataCustodian": {
                "identifier": (record.custodian.address or record.custodian.name)[:50],
                "name": record.custodian.name,
                "contactPoint": record.custodian.contact.email or email,
            },
            "populationSize": record.people,
            "keywords": [word for word in record.keywords if len(word) > 1],
            "contactPoint": email,
        },
        "accessibility": _accessibility(record, address),
        "observations": [
            {
                "observedNode": "Persons",
                "measuredValue": record.people,
                "disambiguatingDescription": "Rounded as the site's disclosure policy has it.",
                "observationDate": day,
                "measuredProperty": "Count",
            }
        ],
    }
    if len(record.description) > 1:
        data["documentation"] = {"description": record.description}
    if record.places:
        data["coverage"] = _present(
            spatial=", ".join(place.name.replace(",", " ") for place in record.places),
            typicalAgeRangeMin=record.youngest,
            typicalAgeRangeMax=record.oldest,
        )
    if record.begins is not None:
        temporal = _present(
            publishingFrequency=FREQUENCIES[record.frequency],
            startDate=record.begins.isoformat(),
            endDate=record.ends.isoformat() if record.ends else "CONTINUOUS",
            timeLag=record.delay,
            distributionReleaseDate=record.refreshed.isoformat() if record.refreshed else None,
        )
        data["provenance"] = {"temporal": temporal}
    if record.tables:
        data["structuralMetadata"] = {
            "tables": [
                _present(
                    name=table.name, description=table.title or None, columns=[_column(each) for each in table.variables]
                )
                for table in record.tables
            ]
        }
    return data


def _accessibility(record: Record, address: str) -> dict[str, Any]:
    limits = sorted({condition.term.hdruk for condition in record.conditions if condition.term.limits})
    asked = sorted({condition.term.hdruk for condition in record.conditions if not condition.term.limits})
    words = [WORDS[record.rights]]
    if record.approvers:
        words.append(f"A study needs the approval of: {', '.join(record.approvers)}.")
    words += [condition.explain() for condition in record.conditions]
    words += [f"{each.title}: {each.access}" for each in record.distributions]
    found: dict[str, Any] = {
        "access": {
            "accessRights": " ".join(words),
            "accessServiceCategory": "Open access" if record.rights == "public" else "TRE/SDE",
            "accessService": f"Federated analysis; the data stay where they are. See {address}",
            "dataController": record.custodian.name,
        },
        "formatAndStandards": {
            "vocabularyEncodingScheme": [CODINGS[system] for system in record.coding_systems] or ["LOCAL"],
            "conformsTo": ["OMOP" if record.model == "OMOP" else "LOCAL"],
            "language": ["en"],
            "format": sorted({each.format for each in record.distributions if each.format}) or ["Not applicable"],
        },
    }
    usage = {name: terms for name, terms in (("dataUseLimitation", limits), ("dataUseRequirements", asked)) if terms}
    if usage:
        found["usage"] = usage
    return found


def _column(variable: Variable) -> dict[str, Any]:
    """A column with the levels that the site tells of; every column of people's data counts as sensitive."""
    levels = [] if variable.profile is None else variable.profile.levels
    return _present(
        name=variable.name,
        dataType=variable.datatype,
        description=variable.description or variable.title or None,
        sensitive=True,
        values=[_present(name=level.level, frequency=level.people) for level in levels] or None,
    )


def _present(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
