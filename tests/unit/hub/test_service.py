"""Where a hub agrees to listen, and what it speaks there: TLS with a real certificate, real processes, real clients."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from civicgrid.client.connect import connect
from civicgrid.config import HubSettings, NodeSettings
from civicgrid.errors import ConfigError
from civicgrid.hub.home import HubHome, admit_site
from civicgrid.hub.service import check_listening, serve, tls
from civicgrid.node.home import Home
from civicgrid.node.service import Service
from civicgrid.transport import Connection, Unreachable
from civicgrid.trust.keys import SigningKey
from unit.hub.serving import NETWORK, Served, served

pytestmark = pytest.mark.xdist_group("tls")


# --- where it listens -----------------------------------------------------------------------------------------------

CERTIFICATE = {"tls_certificate": "c.pem", "tls_key": "k.pem"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "0.0.0.0", "address": "https://hub.example", **CERTIFICATE},
        {"host": "192.0.2.7", **CERTIFICATE},
        {"host": "0.0.0.0", "address": "https://hub.example", "behind_proxy": True},
        {"address": "https://hub.example", "behind_proxy": True},
        {**CERTIFICATE},
    ],
)
def test_it_listens_where_messages_are_encrypted_or_stay_on_this_machine(given: dict[str, object]) -> None:
    check_listening(HubSettings(network="n", **given))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": "0.0.0.0", "address": "http://127.0.0.1:8700"}, "would listen on 0.0.0.0 without TLS"),
        ({"host": "192.0.2.7"}, "would listen on 192.0.2.7 without TLS"),
        ({"host": "hub.example"}, "would listen on hub.example without TLS"),
        ({"host": "::"}, "would listen on :: without TLS"),
        ({"host": ""}, "would listen on  without TLS"),
        ({"host": "0.0.0.0", **CERTIFICATE}, "Expected address in hub.toml"),
        ({"behind_proxy": True}, "Expected address in hub.toml"),
        ({"behind_proxy": True, "address": "http://hub.example"}, "is not encrypted"),
        ({"address": "https://hub.example"}, "is https, but the hub has no certificate"),
        ({"address": "http://127.0.0.1:1", **CERTIFICATE}, "is not https"),
        ({"tls_certificate": "c.pem"}, "tls_certificate and tls_key together"),
        ({"tls_key": "k.pem"}, "tls_certificate and tls_key together"),
        ({"port": 0}, "it says 0"),
    ],
)
def test_it_does_not_listen_anywhere_else(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_listening(HubSettings(network="n", **given))


def test_serving_asks_first(tmp_path: Path) -> None:
    HubHome(tmp_path).create(HubSettings(network="n", host="192.0.2.7"))
    with pytest.raises(ConfigError, match="without TLS"):
        serve(HubHome(tmp_path))


# --- certificates ---------------------------------------------------------------------------------------------------


@dataclass
class Authority:
    """A certificate authority of a network's own, and the certificates that it has made."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Network authority")])
        made = self._builder(self.name, self.key.public_key(), 30)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        (self.folder / "ca.pem").write_bytes(self._pem(made))

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def certify(self, name: str, host: str, days: int = 30) -> dict[str, str]:
        """Settings with a certificate for this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        made = self._builder(subject, key.public_key(), days).add_extension(alternative, critical=False)
        certificate, file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(self._pem(made))
        file.touch(0o600)
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return {"tls_certificate": str(certificate), "tls_key": str(file)}

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
        )

    def _pem(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def hub(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("tls"), **authority.certify("hub", "127.0.0.1")) as running:
        yield running


def test_a_client_that_trusts_the_authority_is_served_over_tls(hub: Served, authority: Authority) -> None:
    assert hub.address.startswith("https://127.0.0.1:")
    grid = connect(hub.address, key=hub.people[0], project="P-1", hub_ca=authority.file)
    assert grid.network == NETWORK


def test_the_answer_tells_browsers_to_stay_with_https(hub: Served, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    with hub.connect() as bare, context.wrap_socket(bare, server_hostname="127.0.0.1") as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        got = b""
        while more := connection.recv(65536):
            got += more
        assert connection.version() == "TLSv1.3"
    assert b"strict-transport-security: max-age=31536000; includeSubDomains\r\n" in got


def test_a_client_that_does_not_trust_it_is_told_why_and_sends_nothing(hub: Served) -> None:
    words = r"showed a certificate that is not trusted here: .*certificate.*Nothing was sent.*hub_ca"
    before = hub.stored()
    with pytest.raises(Unreachable, match=words):
        connect(hub.address, key=hub.people[0], project="P-1")
    assert hub.stored() == before


def test_nor_is_another_authority_s_word_taken(hub: Served, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="is not trusted here"):
        connect(hub.address, key=hub.people[0], project="P-1", hub_ca=Authority(tmp_path).file)


@pytest.mark.parametrize(
    ("host", "days", "words"), [("192.0.2.9", 30, "IP address mismatch"), ("127.0.0.1", -1, "certificate has expired")]
)
def test_a_certificate_for_another_host_or_time_is_not_trusted(
    authority: Authority, tmp_path: Path, host: str, days: int, words: str
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = authority.certify("other", host, days)
    server.load_cert_chain(files["tls_certificate"], files["tls_key"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def once() -> None:
            taken, _ = listening.accept()
            with taken:
                try:
                    server.wrap_socket(taken, server_side=True)
                except OSError:
                    return

        thread = threading.Thread(target=once, daemon=True)
        thread.start()
        address = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with (
            Connection(address, SigningKey.generate(), authority.file) as connection,
            pytest.raises(Unreachable, match=words),
        ):
            connection.get("/api/network")
        thread.join(10)


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    ],
)
def test_old_versions_and_suites_without_forward_secrecy_are_not_spoken(
    hub: Served, version: ssl.TLSVersion, ciphers: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    with pytest.warns(DeprecationWarning) if version < ssl.TLSVersion.TLSv1_2 else contextlib.nullcontext():
        context.minimum_version = context.maximum_version = version
    with hub.connect() as bare, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(bare, server_hostname="127.0.0.1")


def test_plain_http_to_it_gets_nothing(hub: Served) -> None:
    with hub.connect() as bare:
        bare.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"200" not in bare.recv(1000)


def test_a_node_says_hello_over_tls(hub: Served, authority: Authority, tmp_path: Path) -> None:
    """With the authority's file beside its settings."""
    node = Home(tmp_path / "node")
    settings = {"network": NETWORK, "site": "hull", "organisation": "Hull", "hub": hub.address}
    member = node.create(NodeSettings(**settings, hub_key=hub.home.key().public, hub_ca="north-ca.pem"))
    engine = hub.home.engine()
    admit_site(engine, member)
    engine.dispose()
    (node.path / "north-ca.pem").write_bytes(authority.file.read_bytes())
    service = Service(node)
    service.hello()
    assert service.exchange(wait=0) == 0
    grid = connect(hub.address, key=hub.people[0], project="P-1", hub_ca=authority.file)
    assert {site["site"]: site["connected"] for site in grid.sites()}["hull"] is True
    service.connection.close()


def test_a_node_that_does_not_trust_the_hub_says_why_and_goes_on_trying(
    hub: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = Home(tmp_path / "node")
    settings = {"network": NETWORK, "site": "hull", "organisation": "Hull", "hub": hub.address}
    node.create(NodeSettings(**settings, hub_key=hub.home.key().public))
    service = Service(node)
    service.stop.wait = lambda seconds: service.stop.set()  # type: ignore[assignment,func-returns-value]
    with caplog.at_level(logging.WARNING):
        service.run()
    assert "not trusted here" in caplog.text
    assert "Trying again" in caplog.text


def test_files_that_are_no_certificate_are_named(authority: Authority, tmp_path: Path) -> None:
    good = authority.certify("named", "127.0.0.1")
    (tmp_path / "c.pem").write_text("nothing")
    for changed in ({"tls_certificate": str(tmp_path / "c.pem")}, {"tls_certificate": "gone.pem"}, {"tls_key": "gone"}):
        with pytest.raises(ConfigError, match=r"cannot be used: .*Expected a chain and its private key in PEM"):
            tls(tmp_path, HubSettings(network="n", **(good | changed)))
    Path(good["tls_key"]).chmod(0o644)
    with pytest.raises(ConfigError, match="not everybody may read"):
        tls(tmp_path, HubSettings(network="n", **good))
    for wrong in (tmp_path / "gone.pem", tmp_path / "c.pem"):
        with pytest.raises(ConfigError, match=r"certificate authority .* cannot be read"):
            Connection("https://hub.example", SigningKey.generate(), wrong)


def test_the_log_of_all_this_holds_no_traceback(hub: Served) -> None:
    assert "ERROR" not in hub.log
