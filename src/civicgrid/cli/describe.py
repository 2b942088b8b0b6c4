"""What `civicgrid node describe` does: a profile of a data set as a table, and the draft of its record."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from civicgrid.catalogue.draft import drafted
from civicgrid.catalogue.profile import VariableProfile
from civicgrid.catalogue.record import Record, missing
from civicgrid.curation.store import Store
from civicgrid.errors import DataError, PlanError
from civicgrid.node.home import Home
from civicgrid.node.profiles import Profile, Profiles, cohort_for
from civicgrid.node.session import Stored
from civicgrid.node.state import State
from civicgrid.present.tables import plain

CACHE_BYTES = 256_000_000
SHOWN = 6


def described(home: Home, dataset: str, record: Path | None, anew: bool) -> tuple[str, Profile]:
    """The draft of the record as JSON, and the profile that is in it."""
    settings = home.settings()
    earlier = _read(record)
    with Store(home.data) as store:
        held = [each.name for each in store.datasets()]
        if not dataset and len(held) != 1:
            raise DataError(f"Say which data set to describe: --dataset {' or '.join(held) or 'NAME, once one is loaded'}.")
        name = dataset or held[0]
        data = Stored(store, CACHE_BYTES)
        state = State(home.state, home.seal())
        try:
            profile = Profiles(state, data, home.policy).make(name, anew)
        finally:
            state.close()
        omop = store.dataset(name).kind == "omop"
        draft = drafted(
            earlier.identifier if earlier is not None else f"{settings.site}/{name}",
            "people" if omop else name,
            cohort_for(data, name).schema,
            profile.variables,
            people=profile.people,
            loaded=profile.as_of,
            model="OMOP" if omop else "local",
            earlier=earlier,
        )
    return json.dumps(draft.to_data(), indent=2, ensure_ascii=False) + "\n", profile


def still_missing(draft: str) -> tuple[str, ...]:
    """What a draft lacks before it can be published."""
    return missing(Record.from_bytes(draft))


def shown(profile: Profile) -> Table:
    """The profile for a terminal."""
    about = "hidden" if profile.people is None else f"about {profile.people:,} people"
    drawn = Table(title=f"{profile.dataset}: {about}", title_justify="left")
    for column in ("variable", "with a value", "without", "where they fall", "as of"):
        drawn.add_column(column, overflow="fold")
    for name, variable in profile.variables.items():
        drawn.add_row(
            plain(name),
            _count(variable.people),
            _missing(variable),
            plain(_falls(variable)),
            f"{variable.as_of.day} {variable.as_of:%B %Y}",
        )
    for name in profile.withheld:
        drawn.add_row(plain(name), "hidden", "hidden", "held back by the release ledger until its epoch ends", "")
    return drawn


def _count(people: int | None) -> str:
    return "hidden" if people is None else f"{people:,}"


def _missing(variable: VariableProfile) -> str:
    if variable.missing is None and variable.missing_below is not None:
        return f"fewer than {variable.missing_below}"
    return _count(variable.missing)


def _falls(variable: VariableProfile) -> str:
    if variable.levels:
        parts = [f"{each.level}{' (and others)' if each.others else ''} {_count(each.people)}" for each in variable.levels]
    else:
        parts = [
            f"{'below' if each.low is None else f'{each.low:g} to'} {'more' if each.high is None else f'{each.high:g}'} "
            f"{each.people:,}"
            for each in variable.bins
        ]
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")


def _read(path: Path | None) -> Record | None:
    if path is None:
        return None
    try:
        return Record.from_bytes(path.read_bytes())
    except OSError as error:
        raise DataError(f"The record at {path} cannot be read ({error.strerror}). Give the file of a record.") from None
    except PlanError as error:
        raise DataError(f"The record at {path} does not hold. {error}") from None
