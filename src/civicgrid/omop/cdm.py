"""The OMOP common data model as data: its tables, their columns and types, and what a record cannot lack.

Source: OHDSI, OMOP Common Data Model v5.4 specification. Version 5.3 is accepted too, its differences listed
here once (`FORMER_NAMES`, and the columns marked `+`). All read it here.

How the tables below are written: a name ending in `_id` is a whole number, in `_date` a date, in `_datetime`
a date with a time, and anything else text, unless a type follows the colon. `!` marks a column that the
specification requires, `+` one that came with 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

CdmType = Literal["int", "float", "text", "date", "datetime"]
Group = Literal["clinical", "health system", "derived", "cohort", "metadata", "vocabulary"]

DUCKDB_TYPE: dict[CdmType, str] = {
    "int": "BIGINT", "float": "DOUBLE", "text": "VARCHAR", "date": "DATE", "datetime": "TIMESTAMP",
}


@dataclass(frozen=True)
class CdmColumn:
    """A column: its name in 5.4, its type, whether it is required, and the version it came with."""

    name: str
    type: CdmType
    required: bool = False
    since: Literal["5.3", "5.4"] = "5.3"


@dataclass(frozen=True)
class CdmTable:
    """A table of the model.

    `start`, `end` and `concept` name its main columns where it has them; `person` says whether each row
    belongs to a person, and `person_column` which column says to whom (`subject_id` in a cohort).
    """

    name: str
    group: Group
    columns: tuple[CdmColumn, ...]
    primary_key: str | None = None
    start: str | None = None
    end: str | None = None
    concept: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def person_column(self) -> str | None:
        return next((name for name in ("person_id", "subject_id") if name in self.names), None)

    @property
    def person(self) -> bool:
        return self.person_column is not None

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> CdmColumn:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"The CDM table {self.name} has no column {name!r}. It has: {', '.join(self.names)}.")


FORMER_NAMES: dict[str, dict[str, str]] = {
    "visit_occurrence": {
        "admitting_source_concept_id": "admitted_from_concept_id",
        "admitting_source_value": "admitted_from_source_value",
        "discharge_to_concept_id": "discharged_to_concept_id",
        "discharge_to_source_value": "discharged_to_source_value",
    },
    "visit_detail": {
        "admitting_source_concept_id": "admitted_from_concept_id",
        "admitting_source_value": "admitted_from_source_value",
        "discharge_to_concept_id": "discharged_to_concept_id",
        "discharge_to_source_value": "discharged_to_source_value",
        "visit_detail_parent_id": "parent_visit_detail_id",
    },
    "cost": {"reveue_code_source_value": "revenue_code_source_value"},
}
"""Table to {name in 5.3: name in 5.4}. The last one is a misprint that many 5.3 exports carry."""


def _column(word: str) -> CdmColumn:
    since: Literal["5.3", "5.4"] = "5.4" if word.endswith("+") else "5.3"
    required = word.rstrip("+").endswith("!")
    name, _, type_ = word.rstrip("+!").partition(":")
    if not type_:
        ending = name.rsplit("_", 1)[-1]
        type_ = {"id": "int", "date": "date", "datetime": "datetime"}.get(ending, "text")
    for known in get_args(CdmType):
        if type_ == known:
            return CdmColumn(name, known, required, since)
    raise AssertionError(f"{word!r} names a type that the CDM does not have")


def _table(
    name: str, group: Group, *, columns: str, key: str | None = None, start: str | None = None,
    end: str | None = None, concept: str | None = None,
) -> CdmTable:
    return CdmTable(name, group, tuple(_column(word) for word in columns.split()), key, start, end, concept)


_TABLES = (
    _table("person", "clinical", key="person_id", columns="""
        person_id! gender_concept_id! year_of_birth:int! month_of_birth:int day_of_birth:int
        birth_datetime race_concept_id! ethnicity_concept_id! location_id provider_id care_site_id
        person_source_value gender_source_value gender_source_concept_id race_source_value
        race_source_concept_id ethnicity_source_value ethnicity_source_concept_id"""),
    _table("observation_period", "clinical", key="observation_period_id",
        start="observation_period_start_date", end="observation_period_end_date", columns="""
        observation_period_id! person_id! observation_period_start_date! observation_period_end_date!
        period_type_concept_id!"""),
    _table("visit_occurrence", "clinical", key="visit_occurrence_id",
        start="visit_start_date", end="visit_end_date", concept="visit_concept_id", columns="""
        visit_occurrence_id! person_id! visit_concept_id! visit_start_date! visit_start_datetime
        visit_end_date! visit_end_datetime visit_type_concept_id! provider_id care_site_id
        visit_source_value visit_source_concept_id admitted_from_concept_id admitted_from_source_value
        discharged_to_concept_id discharged_to_source_value preceding_visit_occurrence_id"""),
    _table("visit_detail", "clinical", key="visit_detail_id",
        start="visit_detail_start_date", end="visit_detail_end_date", concept="visit_detail_concept_id",
        columns="""
        visit_detail_id! person_id! visit_detail_concept_id! visit_detail_start_date!
        visit_detail_start_datetime visit_detail_end_date! visit_detail_end_datetime
        visit_detail_type_concept_id! provider_id care_site_id visit_detail_source_value
        visit_detail_source_concept_id admitted_from_concept_id admitted_from_source_value
        discharged_to_source_value discharged_to_concept_id preceding_visit_detail_id
        parent_visit_detail_id visit_occurrence_id!"""),
    _table("condition_occurrence", "clinical", key="condition_occurrence_id",
        start="condition_start_date", end="condition_end_date", concept="condition_concept_id", columns="""
        condition_occurrence_id! person_id! condition_concept_id! condition_start_date!
        condition_start_datetime condition_end_date condition_end_datetime condition_type_concept_id!
        condition_status_concept_id stop_reason provider_id visit_occurrence_id visit_detail_id
        condition_source_value condition_source_concept_id condition_status_source_value"""),
    _table("drug_exposure", "clinical", key="drug_exposure_id",
        start="drug_exposure_start_date", end="drug_exposure_end_date", concept="drug_concept_id", columns="""
        drug_exposure_id! person_id! drug_concept_id! drug_exposure_start_date!
        drug_exposure_start_datetime drug_exposure_end_date! drug_exposure_end_datetime
        verbatim_end_date drug_type_concept_id! stop_reason refills:int quantity:float days_supply:int
        sig route_concept_id lot_number provider_id visit_occurrence_id visit_detail_id
        drug_source_value drug_source_concept_id route_source_value dose_unit_source_value"""),
    _table("procedure_occurrence", "clinical", key="procedure_occurrence_id",
        start="procedure_date", end="procedure_end_date", concept="procedure_concept_id", columns="""
        procedure_occurrence_id! person_id! procedure_concept_id! procedure_date! procedure_datetime
        procedure_end_date+ procedure_end_datetime+ procedure_type_concept_id! modifier_concept_id
        quantity:int provider_id visit_occurrence_id visit_detail_id procedure_source_value
        procedure_source_concept_id modifier_source_value"""),
    _table("device_exposure", "clinical", key="device_exposure_id",
        start="device_exposure_start_date", end="device_exposure_end_date", concept="device_concept_id",
        columns="""
        device_exposure_id! person_id! device_concept_id! device_exposure_start_date!
        device_exposure_start_datetime device_exposure_end_date device_exposure_end_datetime
        device_type_concept_id! unique_device_id:text production_id:text+ quantity:int provider_id
        visit_occurrence_id visit_detail_id device_source_value device_source_concept_id
        unit_concept_id+ unit_source_value+ unit_source_concept_id+"""),
    _table("measurement", "clinical", key="measurement_id",
        start="measurement_date", concept="measurement_concept_id", columns="""
        measurement_id! person_id! measurement_concept_id! measurement_date! measurement_datetime
        measurement_time measurement_type_concept_id! operator_concept_id value_as_number:float
        value_as_concept_id unit_concept_id range_low:float range_high:float provider_id
        visit_occurrence_id visit_detail_id measurement_source_value measurement_source_concept_id
        unit_source_value unit_source_concept_id+ value_source_value measurement_event_id+
        meas_event_field_concept_id+"""),
    _table("observation", "clinical", key="observation_id",
        start="observation_date", concept="observation_concept_id", columns="""
        observation_id! person_id! observation_concept_id! observation_date! observation_datetime
        observation_type_concept_id! value_as_number:float value_as_string value_as_concept_id
        qualifier_concept_id unit_concept_id provider_id visit_occurrence_id visit_detail_id
        observation_source_value observation_source_concept_id unit_source_value
        qualifier_source_value value_source_value+ observation_event_id+ obs_event_field_concept_id+"""),
    _table("death", "clinical", start="death_date", concept="cause_concept_id", columns="""
        person_id! death_date! death_datetime death_type_concept_id cause_concept_id
        cause_source_value cause_source_concept_id"""),
    _table("note", "clinical", key="note_id",
        start="note_date", concept="note_class_concept_id", columns="""
        note_id! person_id! note_date! note_datetime note_type_concept_id! note_class_concept_id!
        note_title note_text! encoding_concept_id! language_concept_id! provider_id
        visit_occurrence_id visit_detail_id note_source_value note_event_id+
        note_event_field_concept_id+"""),
    _table("note_nlp", "clinical", key="note_nlp_id",
        start="nlp_date", concept="note_nlp_concept_id", columns="""
        note_nlp_id! note_id! section_concept_id snippet offset lexical_variant! note_nlp_concept_id
        note_nlp_source_concept_id nlp_system nlp_date! nlp_datetime term_exists term_temporal
        term_modifiers"""),
    _table("specimen", "clinical", key="specimen_id",
        start="specimen_date", concept="specimen_concept_id", columns="""
        specimen_id! person_id! specimen_concept_id! specimen_type_concept_id! specimen_date!
        specimen_datetime quantity:float unit_concept_id anatomic_site_concept_id
        disease_status_concept_id specimen_source_id:text specimen_source_value unit_source_value
        anatomic_site_source_value disease_status_source_value"""),
    _table("fact_relationship", "clinical", columns="""
        domain_concept_id_1:int! fact_id_1:int! domain_concept_id_2:int! fact_id_2:int!
        relationship_concept_id!"""),
    _table("location", "health system", key="location_id", columns="""
        location_id! address_1 address_2 city state zip county location_source_value
        country_concept_id+ country_source_value+ latitude:float+ longitude:float+"""),
    _table("care_site", "health system", key="care_site_id", columns="""
        care_site_id! care_site_name place_of_service_concept_id location_id care_site_source_value
        place_of_service_source_value"""),
    _table("provider", "health system", key="provider_id", columns="""
        provider_id! provider_name npi dea specialty_concept_id care_site_id year_of_birth:int
        gender_concept_id provider_source_value specialty_source_value specialty_source_concept_id
        gender_source_value gender_source_concept_id"""),
    _table("payer_plan_period", "health system", key="payer_plan_period_id",
        start="payer_plan_period_start_date", end="payer_plan_period_end_date", concept="payer_concept_id",
        columns="""
        payer_plan_period_id! person_id! payer_plan_period_start_date! payer_plan_period_end_date!
        payer_concept_id payer_source_value payer_source_concept_id plan_concept_id plan_source_value
        plan_source_concept_id sponsor_concept_id sponsor_source_value sponsor_source_concept_id
        family_source_value stop_reason_concept_id stop_reason_source_value
        stop_reason_source_concept_id"""),
    _table("cost", "health system", key="cost_id", concept="cost_type_concept_id", columns="""
        cost_id! cost_event_id! cost_domain_id:text! cost_type_concept_id! currency_concept_id
        total_charge:float total_cost:float total_paid:float paid_by_payer:float paid_by_patient:float
        paid_patient_copay:float paid_patient_coinsurance:float paid_patient_deductible:float
        paid_by_primary:float paid_ingredient_cost:float paid_dispensing_fee:float
        payer_plan_period_id amount_allowed:float revenue_code_concept_id revenue_code_source_value
        drg_concept_id drg_source_value"""),
    _table("drug_era", "derived", key="drug_era_id",
        start="drug_era_start_date", end="drug_era_end_date", concept="drug_concept_id", columns="""
        drug_era_id! person_id! drug_concept_id! drug_era_start_date! drug_era_end_date!
        drug_exposure_count:int gap_days:int"""),
    _table("dose_era", "derived", key="dose_era_id",
        start="dose_era_start_date", end="dose_era_end_date", concept="drug_concept_id", columns="""
        dose_era_id! person_id! drug_concept_id! unit_concept_id! dose_value:float!
        dose_era_start_date! dose_era_end_date!"""),
    _table("condition_era", "derived", key="condition_era_id",
        start="condition_era_start_date", end="condition_era_end_date", concept="condition_concept_id",
        columns="""
        condition_era_id! person_id! condition_concept_id! condition_era_start_date!
        condition_era_end_date! condition_occurrence_count:int"""),
    _table("episode", "derived", key="episode_id",
        start="episode_start_date", end="episode_end_date", concept="episode_concept_id", columns="""
        episode_id! person_id! episode_concept_id! episode_start_date! episode_start_datetime
        episode_end_date episode_end_datetime episode_parent_id episode_number:int
        episode_object_concept_id! episode_type_concept_id! episode_source_value
        episode_source_concept_id"""),
    _table("episode_event", "derived", columns="""
        episode_id! event_id! episode_event_field_concept_id!"""),
    _table("cohort", "cohort", start="cohort_start_date", end="cohort_end_date", columns="""
        cohort_definition_id! subject_id! cohort_start_date! cohort_end_date!"""),
    _table("cohort_definition", "cohort", key="cohort_definition_id", columns="""
        cohort_definition_id! cohort_definition_name! cohort_definition_description
        definition_type_concept_id! cohort_definition_syntax subject_concept_id!
        cohort_initiation_date"""),
    _table("metadata", "metadata", key="metadata_id",
        start="metadata_date", concept="metadata_concept_id", columns="""
        metadata_id!+ metadata_concept_id! metadata_type_concept_id! name! value_as_string
        value_as_concept_id value_as_number:float+ metadata_date metadata_datetime"""),
    _table("cdm_source", "metadata", columns="""
        cdm_source_name! cdm_source_abbreviation! cdm_holder! source_description
        source_documentation_reference cdm_etl_reference source_release_date! cdm_release_date!
        cdm_version cdm_version_concept_id!+ vocabulary_version!"""),
    _table("concept", "vocabulary", key="concept_id", columns="""
        concept_id! concept_name! domain_id:text! vocabulary_id:text! concept_class_id:text!
        standard_concept concept_code! valid_start_date! valid_end_date! invalid_reason"""),
    _table("vocabulary", "vocabulary", key="vocabulary_id", columns="""
        vocabulary_id:text! vocabulary_name! vocabulary_reference vocabulary_version
        vocabulary_concept_id!"""),
    _table("domain", "vocabulary", key="domain_id", columns="""
        domain_id:text! domain_name! domain_concept_id!"""),
    _table("concept_class", "vocabulary", key="concept_class_id", columns="""
        concept_class_id:text! concept_class_name! concept_class_concept_id!"""),
    _table("concept_relationship", "vocabulary", columns="""
        concept_id_1:int! concept_id_2:int! relationship_id:text! valid_start_date! valid_end_date!
        invalid_reason"""),
    _table("relationship", "vocabulary", key="relationship_id", columns="""
        relationship_id:text! relationship_name! is_hierarchical! defines_ancestry!
        reverse_relationship_id:text! relationship_concept_id!"""),
    _table("concept_synonym", "vocabulary", columns="""
        concept_id! concept_synonym_name! language_concept_id!"""),
    _table("concept_ancestor", "vocabulary", columns="""
        ancestor_concept_id! descendant_concept_id! min_levels_of_separation:int!
        max_levels_of_separation:int!"""),
    _table("source_to_concept_map", "vocabulary", columns="""
        source_code! source_concept_id! source_vocabulary_id:text! source_code_description
        target_concept_id! target_vocabulary_id:text! valid_start_date! valid_end_date! invalid_reason"""),
    _table("drug_strength", "vocabulary", columns="""
        drug_concept_id! ingredient_concept_id! amount_value:float amount_unit_concept_id
        numerator_value:float numerator_unit_concept_id denominator_value:float
        denominator_unit_concept_id box_size:int valid_start_date! valid_end_date! invalid_reason"""),
)

CDM: dict[str, CdmTable] = {table.name: table for table in _TABLES}
"""Every table of CDM 5.4 by name."""
