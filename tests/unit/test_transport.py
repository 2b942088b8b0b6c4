"""The connection to a hub: which addresses it dials, and what it makes of every answer."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from civicgrid import transport
from civicgrid.errors import CivicGridError, ConfigError, TrustError, WireError
from civicgrid.transport import Connection, Unreachable, check_address
from civicgrid.trust.keys import SigningKey

KEY = SigningKey.generate()


@pytest.mark.parametrize(
    "address",
    ["https://hub.example", "https://hub.example:8443/", "http://127.0.0.1:8700", "http://localhost:1", "http://[::1]:2"],
)
def test_https_or_this_very_machine(address: str) -> None:
    assert check_address(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "http://hub.example",
        "http://127.0.0.1.hub.example",
        "http://10.0.0.1:8700",
        "http://0.0.0.0:8700",
        "http://localhost.hub.example",
    ],
)
def test_plain_http_to_another_machine_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not encrypted"):
        check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "hub.example",
        "ftp://hub.example",
        "file:///etc/passwd",
        "https://",
        "https://hub.example/path",
        "https://hub.example?a=1",
        "https://hub.example#a",
        "https://someone@hub.example",
        "https://hub.example:port",
        "https://[hub.example",
        "",
    ],
)
def test_anything_else_is_no_address_of_a_hub(address: str) -> None:
    with pytest.raises(ConfigError, match="Expected a hub's address such as"):
        check_address(address)


class Hub(BaseHTTPRequestHandler):
    """Answers as its path says."""

    asked: list[str] = []

    def do_GET(self) -> None:
        Hub.asked.append(self.path)
        status, _, body = self.path.strip("/").partition("/")
        self.send_response(int(status))
        raw = {"error": b'{"error": "This is why."}', "big": bytes(3000)}.get(body, body.encode())
        if 300 <= int(status) < 400:
            self.send_header("Location", "/200/elsewhere")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: what the server did is in `asked`."""


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Connection(f"http://127.0.0.1:{server.server_port}", KEY) as made:
        yield made
    server.shutdown()
    server.server_close()


def test_an_answer_comes_back_as_bytes(connection: Connection) -> None:
    assert connection.get("/200/hello") == b"hello"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, WireError), (401, TrustError), (403, TrustError), (404, WireError), (409, TrustError), (422, WireError)]
    + [(500, Unreachable), (503, Unreachable)],
)
def test_the_hub_s_reason_comes_as_an_error_of_the_right_kind(
    connection: Connection, status: int, kind: type[CivicGridError]
) -> None:
    with pytest.raises(kind, match=r"This is why\."):
        connection.get(f"/{status}/error")
    with pytest.raises(kind, match=f"status {status}"):
        connection.get(f"/{status}/no-json")


def test_a_redirect_is_not_followed(connection: Connection) -> None:
    Hub.asked.clear()
    with pytest.raises(WireError, match="status 302"):
        connection.get("/302/x")
    assert Hub.asked == ["/302/x"]


def test_an_answer_beyond_the_limit_is_not_read(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_FRAME", 2000)
    with pytest.raises(WireError, match="sent more than 2,000 bytes"):
        connection.get("/200/big")


def test_a_proxy_named_in_the_environment_is_not_asked(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Connection(connection.address, KEY) as fresh:
        assert fresh.get("/200/hello") == b"hello"


def test_a_hub_that_is_not_there_says_that_nothing_was_lost() -> None:
    with Connection("http://127.0.0.1:1", KEY) as nobody, pytest.raises(Unreachable, match="nothing was lost"):
        nobody.get("/200/hello")


def test_https_to_a_port_that_speaks_plain_http_is_said_to_be_that(connection: Connection) -> None:
    address = connection.address.replace("http:", "https:")
    with (
        Connection(address, SigningKey.generate()) as secret,
        pytest.raises(Unreachable, match=r"does not speak TLS as a hub does .* Check the address and its port"),
    ):
        secret.get("/")


def test_the_hub_s_words_steer_no_terminal() -> None:
    said = transport._message(400, b'{"error": "a\\u001b[31mb\\nc\\u202ed"}')
    assert said == "a [31mb c d"


def test_the_answer_of_a_hub_that_hangs_up_before_it_has_read_everything_is_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            asked, _ = server.accept()
            with asked:
                asked.recv(10)
                body = b'{"error": "Too much."}'
                asked.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                asked.shutdown(socket.SHUT_WR)
                while asked.recv(1_000_000):
                    pass

        refusing = threading.Thread(target=refuse)
        refusing.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Connection(address, KEY) as made, pytest.raises(WireError, match=r"Too much\."):
            made.post("/node/exchange", bytes(20_000_000))
        refusing.join()


def test_a_connection_is_used_again_and_replaced_once_the_hub_has_closed_it() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = threading.Event()

        def serve() -> None:
            for word in (b"a", b"b"):
                asked, _ = server.accept()
                with asked:
                    for number in (b"1", b"2"):
                        head = b""
                        while b"\r\n\r\n" not in head:
                            head += asked.recv(4096)
                        asked.sendall(answer + word + number)
                closed.set()

        serving = threading.Thread(target=serve)
        serving.start()
        with Connection(f"http://127.0.0.1:{server.getsockname()[1]}", KEY) as made:
            assert [made.get("/x"), made.get("/x")] == [b"a1", b"a2"]
            assert closed.wait(10)
            assert [made.get("/x"), made.get("/x")] == [b"b1", b"b2"]
        serving.join()


def test_https_is_spoken_only_with_a_hub_whose_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    (tmp_path / "hub.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "hub.key").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "hub.crt", tmp_path / "hub.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"https://localhost:{server.server_port}"
    with Connection(address, KEY) as stranger, pytest.raises(Unreachable, match="not trusted here"):
        stranger.get("/200/hello")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "hub.crt"))
    with Connection(address, KEY) as trusting:
        assert trusting.get("/200/hello") == b"hello"
    with Connection(address.replace("localhost", "127.0.0.1"), KEY) as other, pytest.raises(Unreachable):
        other.get("/200/hello")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    ],
)
def test_an_answer_that_is_cut_off_or_no_http_is_none(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            asked, _ = server.accept()
            with asked:
                asked.recv(4096)
                asked.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Connection(address, KEY) as made, pytest.raises(Unreachable, match="nothing was lost"):
            made.get("/x")
        serving.join()


def test_an_answer_in_pieces_is_read_up_to_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_FRAME", 8)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            asked, _ = server.accept()
            with asked:
                for pieces in (b"4\r\nfour\r\n4\r\nmore\r\n0\r\n\r\n", b"9\r\nnine more\r\n0\r\n\r\n"):
                    asked.recv(4096)
                    asked.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces)

        serving = threading.Thread(target=serve)
        serving.start()
        with Connection(f"http://127.0.0.1:{server.getsockname()[1]}", KEY) as made:
            assert made.get("/x") == b"fourmore"
            with pytest.raises(WireError, match="more than 8 bytes"):
                made.get("/x")
        serving.join()
