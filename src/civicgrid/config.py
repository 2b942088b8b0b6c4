"""Settings of a node and of a hub: small TOML files that a person can read and write."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from civicgrid.canonical import Node, describe
from civicgrid.errors import ConfigError

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]


class NodeSettings(Node):
    """`node.toml`: who this site is, and which hub it dials. `hub_key` is the only key whose tasks it opens.

    `hub_ca`, where it is set, is a file of certificates, and the hub's must come from one of them and no other.

    `witness_seconds` is how often, at least, the node looks whether the public register has only grown.
    """

    network: Name
    site: Name
    organisation: Annotated[str, Field(min_length=1, max_length=200)]
    hub: str
    hub_key: str
    hub_ca: str = ""
    cache_megabytes: int = Field(default=4096, ge=0)
    witness_seconds: float = Field(default=600.0, gt=0)


class HubSettings(Node):
    """`hub.toml`: the network's name, where the hub listens, its database, and its clocks (seconds).

    `address` is the public one that nodes and people dial and sign for, where it differs from host and port.

    `reply_seconds` is how long a site may take over one task before the run goes on without it; `connected_seconds` how
    long after its last message a site counts as connected.

    Away from this machine a hub has a certificate and its key (PEM files, seen from the hub's folder), or says with
    `behind_proxy` that a web server before it, at `proxy_addresses`, ends TLS and gives each client's own address.

    `…_requests` are how many requests a second are answered: of one node's key, of one person's, and of one client address
    among those whose signature has not been found to hold; ten seconds' worth may come at once. `polls` is how many
    requests of one key may wait at a time, `connections` how many may be open in all.

    `service_name` is what the pages are headed with. Somebody who has signed in stays so for `sign_in_hours`, and for
    `idle_minutes` without a click. With `demo_people` whoever sits at this machine may act as any person there is: for
    trying out, on loopback alone. With `governed` only projects that have been applied for and permitted here run studies.
    """

    network: Name
    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    address: str = ""
    database: str = "sqlite:///hub.sqlite"
    reply_seconds: float = Field(default=120.0, gt=0)
    connected_seconds: float = Field(default=60.0, gt=0)
    tls_certificate: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    proxy_addresses: str = "127.0.0.1,::1"
    node_requests: float = Field(default=1000.0, gt=0)
    person_requests: float = Field(default=50.0, gt=0)
    address_requests: float = Field(default=50.0, gt=0)
    polls: int = Field(default=32, gt=0)
    connections: int = Field(default=1000, gt=0)
    service_name: Annotated[str, Field(min_length=1, max_length=80)] = "Civic Grid"
    demo_people: bool = False
    governed: bool = False
    sign_in_hours: float = Field(default=12.0, gt=0)
    idle_minutes: float = Field(default=60.0, gt=0)

    @property
    def public(self) -> str:
        """The address that nodes and people dial and sign for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.address or f"{'https' if self.tls_certificate else 'http'}://{host}:{self.port}"


T = TypeVar("T", bound=Node)


def make_settings(kind: type[T], **values: Any) -> T:
    """Settings from what somebody typed. ConfigError, naming each that does not hold."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise ConfigError(
            f"These settings do not hold: {describe(error)}. Names are lower case, with digits and hyphens: leeds-2."
        ) from None


def read_settings(kind: type[T], path: Path) -> T:
    """A settings file. ConfigError, naming file and field, where it is missing or does not hold."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"Expected settings at {path}; there is no such file. Run the matching init first.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings at {path} are not valid TOML: {error}. Mend the file.") from None
    except ValidationError as error:
        raise ConfigError(f"The settings at {path} do not hold: {describe(error)}. Mend the file.") from None


def write_settings(settings: Node, path: Path) -> None:
    """The settings as TOML, one line a field."""
    lines = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        lines.append(f"{name} = {text}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
