"""From what a file holds to the type a column must have, as SQL expressions; and what counts as wrong.

Three outcomes for a value: missing, of the type, or wrong. A wrong value that is written like a date (2015-02-30) is
an impossible date, a fault of content; any other wrong value is a fault of structure. DuckDB's casts are narrowed,
since they take '1.5' for 2, '0x1F' for 31 and the word 'epoch' for a date.
"""

from __future__ import annotations

from dataclasses import dataclass

from civicgrid.omop.cdm import DUCKDB_TYPE, CdmType

_INTEGERS = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
    "UHUGEINT",
}
_WHOLE = r"[+-]?[0-9]+([.]0*)?"
_NUMBER = r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
_DATED = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T].*)?|[0-9]{8}"


@dataclass(frozen=True)
class Cast:
    """`value`: the typed value or NULL. `wrong`: there is a value and it is not of the type. `dated`: it is written
    like a date. `exact`: no value of the source's type can be wrong, so `wrong` need not be asked."""

    value: str
    wrong: str
    dated: str
    exact: bool = False


def cast(source: str, kind: str, target: CdmType) -> Cast:
    """How to read the SQL expression `source`, of the DuckDB type `kind`, as `target`."""
    to = DUCKDB_TYPE[target]
    kind = kind.split("(", 1)[0].strip().upper()
    if target == "text":
        return Cast(f"nullif(CAST({source} AS VARCHAR), '')", "false", "false", exact=True)
    if kind in _INTEGERS and target in ("int", "float"):
        return _checked(f"TRY_CAST({source} AS {to})", f"{source} IS NULL", exact=kind not in ("HUGEINT", "UBIGINT"))
    if kind in ("DOUBLE", "FLOAT", "DECIMAL"):
        number = f"CAST({source} AS DOUBLE)"
        if target == "float":
            return Cast(f"CASE WHEN isfinite({number}) THEN {number} END", "false", "false", exact=True)
        missing = f"{source} IS NULL OR isnan({number})"
        if target == "int":
            return _checked(f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({source} AS {to}) END", missing)
    if target in ("date", "datetime") and (kind == "DATE" or kind.startswith("TIMESTAMP")):
        return Cast(f"CAST({source} AS {to})", "false", "false", exact=True)
    text = f"trim(CAST({source} AS VARCHAR))"
    if target == "int":
        value = f"CASE WHEN regexp_full_match({text}, '{_WHOLE}') THEN TRY_CAST({text} AS BIGINT) END"
        return _checked(value, f"{source} IS NULL OR {text} = ''")
    if target == "float":
        value = f"CASE WHEN regexp_full_match({text}, '{_NUMBER}') THEN TRY_CAST({text} AS DOUBLE) END"
        return _checked(value, f"{source} IS NULL OR {text} = '' OR lower({text}) = 'nan'")
    value = (
        f"CASE WHEN {text} < '0' OR {text} >= ':' THEN NULL "
        f"ELSE coalesce(TRY_CAST({text} AS {to}), CAST(try_strptime({text}, '%Y%m%d') AS {to})) END"
    )
    return _checked(value, f"{source} IS NULL OR {text} = ''", dated=f"regexp_full_match({text}, '{_DATED}')")


def _checked(value: str, missing: str, dated: str = "false", exact: bool = False) -> Cast:
    return Cast(value, f"(NOT ({missing}) AND ({value}) IS NULL)", dated, exact)
