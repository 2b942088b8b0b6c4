"""Ids that a vocabulary does not know, asked of Eunomia's."""

from civicgrid.curation.store import Store
from civicgrid.omop.vocabulary import unknown_concepts
from unit.curation.cdm_files import eunomia

BLEEDING = 192671


def test_ids_the_vocabulary_does_not_hold_are_named():
    with Store() as store:
        store.load_omop("eunomia", eunomia())
        assert unknown_concepts(store.cursor(), "eunomia", [BLEEDING, 99, 7, 99]) == (7, 99)
        assert unknown_concepts(store.cursor(), "eunomia", [BLEEDING]) == ()
