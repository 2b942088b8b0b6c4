"""What a custodian reads before signing: the permit and its plans in plain English, and what deserves a second look.

A review decides nothing. It says what the permit allows beyond what its plans need, what is open, and what has not been
shown; `unseen` lists the plans that somebody would sign without having read them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Sequence
from dataclasses import dataclass

from civicgrid.errors import TrustError
from civicgrid.governance.answers import SECTIONS, Answers, section
from civicgrid.governance.application import Dossier
from civicgrid.governance.ballot import PanelDecision, Roll, count
from civicgrid.governance.permit import Permit, in_words, listed, shown
from civicgrid.methods import METHODS
from civicgrid.methods.plan import Plan
from civicgrid.trust.keys import signing_public

LONG = dt.timedelta(days=366)


@dataclass(frozen=True)
class Review:
    """A permit beside the plans, the application and the roll of a panel that came with it, read at a moment."""

    permit: Permit
    plans: tuple[Plan, ...]
    now: dt.datetime
    dossier: Dossier | None = None
    roll: Roll | None = None

    @property
    def unseen(self) -> tuple[str, ...]:
        """Plans and templates that the permit lists and nobody has shown."""
        seen = {plan.identity for plan in self.plans} | {plan.template for plan in self.plans}
        return tuple(each for each in (*self.permit.plans, *self.permit.templates) if each not in seen)

    def words(self) -> str:
        """The whole review, as it is printed."""
        parts = ["THE PERMIT", self.permit.explain()]
        if self.dossier is not None:
            parts += ["", "THE APPLICATION", explained(self.dossier)]
        if self.permit.panel is not None:
            parts += ["", "THE PANEL'S DECISION", "\n".join(self._panel(self.permit.panel))]
        for number, plan in enumerate(self.plans, 1):
            parts += ["", f"PLAN {number} OF {len(self.plans)}", self._standing(plan), "", plan.explain(), ""]
            parts += _reads(plan)
        concerns = self.concerns()
        parts += ["", "WHAT TO LOOK AT TWICE" if concerns else "Nothing here is wider than the plans need."]
        return "\n".join([*parts, *(f"- {concern}" for concern in concerns)])

    def _standing(self, plan: Plan) -> str:
        if plan.identity in self.permit.plans:
            return f"The permit lists it: {plan.identity}"
        if plan.template is not None and plan.template in self.permit.templates:
            return f"The permit lists it as a standing study, here for {plan.run_date}: {plan.template}"
        if self.permit.plans or self.permit.templates:
            return f"THE PERMIT DOES NOT LIST IT, and it will not run: {plan.identity}"
        return f"The permit does not name it, and allows any other plan as well: {plan.identity}"

    def concerns(self) -> list[str]:
        """One sentence for each thing that deserves a second look."""
        return [*self._open(), *self._unneeded(), *self._time(), *self._faults(), *self._application()]

    def _open(self) -> list[str]:
        permit, found = self.permit, []
        if not permit.plans and not permit.templates:
            found.append("Any plan within the limits may run: nobody here will read it first. List plans to change that.")
        if "*" in permit.columns:
            found.append("All columns of the data sets may be read.")
        tables = [column.removesuffix(".*") for column in permit.columns if column.endswith(".*")]
        if tables:
            found.append(f"All columns of these tables may be read: {listed(tables)}.")
        if permit.templates and permit.template_days:
            found.append(
                f"A standing study may be run for any of {permit.template_days + 1} days at a time: answers for days close "
                "to each other differ by few people."
            )
        if permit.pooled_threshold:
            found.append(
                "Pooled threshold: numbers about fewer people here than your policy's smallest cell may leave, under a "
                "mask and within a total; the hub learns that total exactly."
            )
        if permit.zeros:
            found.append(
                "Zeros: a count of nobody may be shown. Whoever then sees a count hidden knows that it is of somebody."
            )
        if permit.thresholds is not None and permit.thresholds.covariance:
            found.append("Covariance matrices may be published, where the site's policy allows it too.")
        return found

    def _panel(self, decision: PanelDecision) -> list[str]:
        """What the panel decided, counted under the roll if there is one, and never called proven without it."""
        if self.roll is None:
            return [
                f"It carries {len(decision.ballots)} ballots. Whose they are has not been checked: give the site's roll of "
                "the panel as well. The node checks it with its own."
            ]
        try:
            tally = count(decision, self.roll, network=self.permit.network, project=self.permit.project)
            self.permit.check_panel({self.roll.panel: self.roll}, True)
        except TrustError as error:
            return [f"IT DOES NOT HOLD, and the permit will not count: {error}."]
        lines = [f"Every ballot holds under the roll. {tally.words()}"]
        return lines + [f"  - A condition: {shown(condition)}" for condition in tally.conditions]

    def _application(self) -> list[str]:
        """How the permit differs from the application that it comes from."""
        if self.dossier is None:
            return []
        permit, dossier, found = self.permit, self.dossier, []
        if (permit.network, permit.project) != (dossier.network, dossier.project):
            found.append("The application is of another network or project.")
        if permit.panel is not None and permit.panel.application != dossier.digest():
            found.append("The panel decided on another application than this one, or on an earlier form of it.")
        strangers = {person.key for person in permit.people} - {named.key for named in dossier.people}
        if strangers:
            found.append(f"It names {len(strangers)} people's keys that are not in the application.")
        if not {*permit.plans, *permit.templates} <= set(dossier.allowed()):
            found.append("It lists plans that are not in the application.")
        beyond = _beyond(permit.datasets, dossier.answers.datasets)
        if beyond:
            found.append(f"It allows data sets that were not asked for: {listed(beyond)}.")
        return found

    def _unneeded(self) -> list[str]:
        found = []
        for number, plan in enumerate(self.plans, 1):
            if plan.unused():
                found.append(f"Plan {number} works out columns that none of its methods uses: {listed(plan.unused())}.")
        if not self.plans or self.unseen:
            return found
        read = frozenset[str]().union(*(plan.reads for plan in self.plans))
        named = [column for column in self.permit.columns if not column.endswith("*")]
        spare = {
            "columns": [column for column in named if column not in read],
            "methods": _beyond(self.permit.methods, {m.kind for plan in self.plans for m in plan.methods.values()}),
            "data sets": _beyond(self.permit.datasets, {plan.dataset for plan in self.plans}),
        }
        found += [f"No plan here needs these {what}: {listed(names)}." for what, names in spare.items() if names]
        if len(named) < len(self.permit.columns):
            found.append(f"The plans here read these columns alone: {listed(sorted(read))}.")
        return found

    def _time(self) -> list[str]:
        begins = dt.datetime.fromisoformat(self.permit.valid_from)
        ends = dt.datetime.fromisoformat(self.permit.valid_until)
        if ends <= begins:
            return ["It ends before it begins, and will never be valid."]
        if ends <= self.now:
            return [f"It is over already: it ended on {in_words(self.permit.valid_until)}."]
        if ends - begins > LONG:
            return [f"It is valid for {(ends - begins).days} days, more than a year."]
        return []

    def _faults(self) -> list[str]:
        found = [f"Its plan {each} has not been shown. Ask for the file." for each in self.unseen]
        for number, plan in enumerate(self.plans, 1):
            missing = self.permit.uncovered(plan)
            if missing:
                found.append(f"Plan {number} would be refused: {'; '.join(missing)}.")
        unknown = _beyond(self.permit.methods, METHODS)
        if unknown:
            found.append(f"There are no methods called {listed(unknown)} in this version.")
        for person in self.permit.people:
            try:
                signing_public(person.key)
            except TrustError:
                found.append(f"The key of {shown(person.name)} is no key.")
        permit = self.permit
        texts = (permit.project, permit.title, permit.purpose, *(each.name for each in permit.people))
        if not all(text.isprintable() for text in texts):
            found.append("Its texts hold characters that cannot be seen, written out above as \\u and digits. Ask why.")
        return found


def explained(dossier: Dossier) -> str:
    """An application in plain English: each answer under its field's title, in quotation marks that it cannot close."""
    lines = [f"Project {shown(dossier.project)} in the network {shown(dossier.network)}. Digest: {dossier.digest()}"]
    for name, part in SECTIONS.items():
        lines.append(f"{part.title}:")
        for field in section(name):
            value = getattr(dossier.answers, field)
            if value not in (None, "", ()):
                said = listed(value) if isinstance(value, tuple) else shown(str(value))
                lines.append(f"  {Answers.model_fields[field].title} {said}")
    lines += [f"  A site asks {shown(each.title)}: {shown(each.answer)}" for each in dossier.site_answers]
    lines += [f"  Named with a key: {shown(each.account)}, {shown(each.key)}" for each in dossier.people]
    return "\n".join(lines)


def _beyond(names: Sequence[str], needed: Container[str]) -> list[str]:
    return [name for name in names if name not in needed]


def _reads(plan: Plan) -> list[str]:
    if not plan.reads:
        return ["It reads no column: only who is in the data set."]
    return ["It reads these columns:", *(f"  - {column}" for column in sorted(plan.reads))]
