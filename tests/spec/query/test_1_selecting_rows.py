"""Selecting rows: event frames, `where` and `except_where`."""

from civicgrid.query.language import cdm

gp = cdm("gp")
drugs = gp.drug_exposure
DRUGS = """
    person | drug_exposure_id | concept | start_date | quantity
    1      | 1                | 10      | 2020-01-01 | 5
    1      | 2                | 20      | 2020-02-01 | -
    2      | 3                | 20      | 2020-03-01 | 7
    3      | 4                | -       | 2020-04-01 | 1
"""


def test_exists_for_person(ask):
    """A frame has none, one or many rows a person; `exists_for_person` asks whether there is any."""
    assert ask(drugs.where(drugs.concept == 10).exists_for_person(), drug_exposure=DRUGS) == {
        1: True, 2: False, 3: False}


def test_count_for_person(ask):
    """`count_for_person` counts the rows, 0 for a person without any."""
    assert ask(drugs.where(drugs.concept.is_in([10, 20])).count_for_person(), drug_exposure=DRUGS) == {1: 2, 2: 1, 3: 0}


def test_where_keeps_only_yes(ask):
    """`where` keeps the rows for which the condition is yes: a missing quantity is not more than 3."""
    assert ask(drugs.where(drugs.quantity > 3).count_for_person(), drug_exposure=DRUGS) == {1: 1, 2: 1, 3: 0}


def test_except_where_drops_only_yes(ask):
    """`except_where` drops the rows for which the condition is yes, and keeps those where it is missing."""
    assert ask(drugs.except_where(drugs.quantity > 3).count_for_person(), drug_exposure=DRUGS) == {1: 1, 2: 0, 3: 1}


def test_not_of_missing_is_missing(ask):
    """So `where(~condition)` is not the same as `except_where(condition)`: turning missing round leaves it missing."""
    assert ask(drugs.where(~(drugs.quantity > 3)).count_for_person(), drug_exposure=DRUGS) == {1: 0, 2: 0, 3: 1}


def test_conditions_follow_one_another(ask):
    """Several conditions, in one `where` or in several, must all be yes."""
    once = drugs.where(drugs.concept == 20, drugs.quantity > 3)
    twice = drugs.where(drugs.concept == 20).where(drugs.quantity > 3)
    for frame in (once, twice):
        assert ask(frame.exists_for_person(), drug_exposure=DRUGS) == {1: False, 2: True, 3: False}


def test_short_and_full_names(ask):
    """A column has its name in the CDM and, where it is plain, a short one."""
    full = drugs.where(drugs.drug_concept_id == 10).drug_exposure_start_date.minimum_for_person()
    short = drugs.where(drugs.concept == 10).start_date.minimum_for_person()
    assert full.node == short.node


def test_a_condition_may_use_the_person(ask):
    """A condition on rows may use what is known of the person, another frame's date, say."""
    first = drugs.sort_by(drugs.start_date).first_for_person()
    later = drugs.where(drugs.start_date > first.start_date)
    assert ask(later.count_for_person(), drug_exposure=DRUGS) == {1: 1, 2: 0, 3: 0}
