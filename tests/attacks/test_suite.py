"""Each attack succeeds with the defence off and recovers no row under the shipped defaults."""

from __future__ import annotations

import pytest

from attacks.attack import Attack
from attacks.suite import ATTACKS, STANDING


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack: Attack) -> None:
    assert 0 < attack.recovered(False) <= attack.at_risk, "the attack does not work, so it proves nothing"
    assert attack.recovered(True) == 0


@pytest.mark.parametrize("attack", STANDING, ids=lambda attack: attack.name)
def test_what_stands(attack: Attack) -> None:
    """Known, written down, and noticed when a rule stops it."""
    assert attack.recovered(False) == attack.at_risk
    assert attack.recovered(True) > 0, "this is stopped now: move it to the attacks that are"


def test_every_attack_has_a_name_of_its_own() -> None:
    every = [*ATTACKS, *STANDING]
    assert len({attack.name for attack in every}) == len(every)
