"""Settings files: written, read back, and refused where they do not hold, with file and field named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civicgrid.config import HubSettings, NodeSettings, read_settings, write_settings
from civicgrid.errors import ConfigError

NODE = NodeSettings(network="n", site="york", organisation="York", hub="https://hub.example", hub_key="k")
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)


@given(TEXT, TEXT)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_settings_come_back_as_they_were_whatever_a_name_holds(tmp_path: Path, organisation: str, key: str) -> None:
    path = tmp_path / "node.toml"
    made = NODE.model_copy(update={"organisation": organisation, "hub_key": key})
    write_settings(made, path)
    assert read_settings(NodeSettings, path) == made
    assert set(tomllib.loads(path.read_text("utf-8"))) == set(NodeSettings.model_fields)


def test_a_name_cannot_write_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    write_settings(NODE.model_copy(update={"organisation": 'York"\nhub_key = "mine'}), path)
    assert read_settings(NodeSettings, path).hub_key == "k"


def test_a_hub_s_settings_come_back(tmp_path: Path) -> None:
    made = HubSettings(network="n", port=0, reply_seconds=0.5, address="https://hub.example")
    write_settings(made, tmp_path / "hub.toml")
    assert read_settings(HubSettings, tmp_path / "hub.toml") == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network = ", "not valid TOML"),
        ("network = 'n'", "do not hold: site: Field required"),
        ("network = 'n'\nsites = 1", "do not hold"),
        ("network = 'N W'\nsite='york'\norganisation='Y'\nhub='h'\nhub_key='k'", "network: String should match"),
        ("network = 'n'\nsite='../york'\norganisation='Y'\nhub='h'\nhub_key='k'", "site: String should match"),
    ],
)
def test_what_does_not_hold_is_said_with_its_field(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_settings(NodeSettings, path)


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Run the matching init first"):
        read_settings(NodeSettings, tmp_path / "node.toml")
