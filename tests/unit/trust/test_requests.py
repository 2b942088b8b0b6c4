"""Signed requests against a signature base written out by hand (RFC 9421, section 2.5), and against
tampering.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from civicgrid.errors import TrustError, WireError
from civicgrid.trust import requests
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.keys import verify as verify_bytes
from civicgrid.trust.nonces import Nonces

NOW = 1_700_000_000.0
URL = "https://hub.example/api/round?study=S-1&wait=20"
LEEDS, OTHER = SigningKey.generate(), SigningKey.generate()
KNOWN = {"site:leeds": LEEDS.public, "site:other": OTHER.public, "site:broken": "ed25519:" + "A" * 43}


@pytest.fixture
def nonces(tmp_path: Path) -> Iterator[Nonces]:
    with Nonces(tmp_path / "nonces") as store:
        yield store


def signed(method: str = "POST", url: str = URL, body: bytes = b"sums", now: float = NOW) -> dict[str, str]:
    return requests.sign(method, url, body, LEEDS, "site:leeds", now)


def verify(
    nonces: Nonces,
    headers: object,
    method: str = "POST",
    url: str = URL,
    body: bytes = b"sums",
    now: float = NOW,
) -> str:
    return requests.verify(method, url, headers, body, KNOWN.get, nonces, now)  # type: ignore[arg-type]


def by_hand(
    parameters: str,
    covered: str = '("@method" "@target-uri" "content-digest")',
    key: SigningKey = LEEDS,
    body: bytes = b"sums",
) -> dict[str, str]:
    """A request signed from the text of the standard alone."""
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    values = {"@method": "POST", "@target-uri": URL, "content-digest": digest}
    lines = [f'"{name}": {values[name]}' for name in re.findall(r'"([^"]+)"', covered)]
    base = "\n".join([*lines, f'"@signature-params": {covered}{parameters}'])
    signature = base64.b64encode(key.sign(base.encode())).decode()
    return {
        "Content-Digest": digest,
        "Signature-Input": f"sig1={covered}{parameters}",
        "Signature": f"sig1=:{signature}:",
    }


GOOD = ';created=1700000000;keyid="site:leeds";nonce="0123456789abcdef";tag="civicgrid"'


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", b"sums"), ("POST", b""), ("PUT", bytes(100_000))])
def test_a_signed_request_names_its_key(nonces: Nonces, method: str, body: bytes) -> None:
    headers = signed(method, body=body)
    assert verify(nonces, headers, method, body=body) == "site:leeds"


def test_signs_what_the_standard_says() -> None:
    headers = signed()
    parameters = re.fullmatch(r"civicgrid=(\(.*\)(;.*))", headers["Signature-Input"])
    assert parameters is not None
    assert re.fullmatch(r';created=1700000000;keyid="site:leeds";nonce="[\w-]{22}";tag="civicgrid"', parameters[2])
    digest = base64.b64encode(hashlib.sha256(b"sums").digest()).decode()
    base = (
        f'"@method": POST\n"@target-uri": {URL}\n"content-digest": sha-256=:{digest}:\n'
        f'"@signature-params": ("@method" "@target-uri" "content-digest"){parameters[2]}'
    )
    signature = re.fullmatch("civicgrid=:(.*):", headers["Signature"])
    assert signature is not None
    verify_bytes(LEEDS.public, base64.b64decode(signature[1]), base.encode())


def test_accepts_any_program_that_follows_the_standard(nonces: Nonces) -> None:
    assert verify(nonces, by_hand(GOOD)) == "site:leeds"
    again = GOOD.replace("0123456789abcdef", "fedcba9876543210") + ';expires=1700000005;alg="ed25519"'
    lines = [(name.upper(), value) for name, value in by_hand(again).items()]
    assert verify(nonces, [*lines, ("Accept", "a"), ("Accept", "b")]) == "site:leeds"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"url": "https://other.example/api/round?study=S-1&wait=20"},
        {"url": "http://hub.example/api/round?study=S-1&wait=20"},
        {"url": "https://hub.example/api/rounds?study=S-1&wait=20"},
        {"url": "https://hub.example/api/round?study=S-2&wait=20"},
        {"url": "https://hub.example/api/round"},
        {"body": b"sum5"},
        {"body": b""},
    ],
)
def test_refuses_a_request_that_was_changed(nonces: Nonces, change: dict[str, str]) -> None:
    with pytest.raises(TrustError, match="this signature does not hold"):
        verify(nonces, signed(), **change)  # type: ignore[arg-type]
    assert len(nonces) == 0


@pytest.mark.parametrize("name", ["Content-Digest", "Signature-Input", "Signature"])
def test_refuses_headers_missing_changed_doubled_or_huge(nonces: Nonces, name: str) -> None:
    headers = signed()
    with pytest.raises(TrustError, match=f"came without {name.lower()}"):
        verify(nonces, {key: value for key, value in headers.items() if key != name})
    for value in (headers[name][:-3], headers[name].replace("i", "j"), "", "\x00", "x" * 2000):
        with pytest.raises((TrustError, WireError)):
            verify(nonces, {**headers, name: value})
    with pytest.raises(TrustError, match="does not hold"):
        verify(nonces, [*headers.items(), (name, headers[name])])
    with pytest.raises(WireError, match="at most 2048 characters"):
        verify(nonces, {**headers, name: "x" * 3000})
    assert len(nonces) == 0


@pytest.mark.parametrize(
    ("covered", "parameters", "words"),
    [
        ('("@method" "@target-uri")', GOOD, "content-digest"),
        ('("@method" "content-digest")', GOOD, "@target-uri"),
        ('("@target-uri" "content-digest")', GOOD, "@method"),
        (None, GOOD.replace("civicgrid", "other"), "tag"),
        (None, GOOD.replace(';nonce="0123456789abcdef"', ""), "nonce of 16 to 64"),
        (None, GOOD.replace("0123456789abcdef", "short"), "nonce of 16 to 64"),
        (None, GOOD.replace("created=1700000000;", ""), "time of signing"),
        (None, GOOD.replace("1700000000", "1699999000"), "signed 1000 seconds ago"),
        (None, GOOD + ";expires=1699999990", "expired 10 seconds ago"),
        (None, GOOD + ';alg="rsa-pss-sha512"', "algorithm"),
        (None, GOOD.replace("site:leeds", "site:other"), "signed by another key"),
        (None, GOOD.replace("site:leeds", "site:nobody"), "No key is registered here under 'site:nobody'"),
        (None, GOOD.replace("site:leeds", "site:broken"), "anybody can sign for"),
        (None, GOOD.replace(';keyid="site:leeds"', ""), "keyid"),
    ],
)
def test_refuses_signatures_that_cover_or_say_too_little(
    nonces: Nonces, covered: str | None, parameters: str, words: str
) -> None:
    headers = by_hand(parameters, covered) if covered else by_hand(parameters)
    with pytest.raises((TrustError, WireError), match=words):
        verify(nonces, headers)
    assert len(nonces) == 0


def test_refuses_a_replay_but_not_the_same_request_signed_again(nonces: Nonces) -> None:
    headers = signed()
    verify(nonces, headers)
    with pytest.raises(WireError, match=r"received before.*sign it again"):
        verify(nonces, headers, now=NOW + 5)
    assert verify(nonces, signed()) == "site:leeds"


def test_refuses_two_signatures_of_ours(nonces: Nonces) -> None:
    one, two = by_hand(GOOD), by_hand(GOOD.replace("0123456789abcdef", "fedcba9876543210"))
    more = [(name, value.replace("sig1", "sig2")) for name, value in two.items() if name != "Content-Digest"]
    with pytest.raises(TrustError, match='Expected one signature tagged "civicgrid"; 2 came'):
        verify(nonces, [*one.items(), *more])
    assert len(nonces) == 0


def test_a_wrong_clock_is_told_its_offset(nonces: Nonces) -> None:
    with pytest.raises(WireError, match=r"sender's clock is 3600 seconds ahead .* Set both clocks"):
        verify(nonces, signed(now=NOW + 3600))
    with pytest.raises(WireError, match=r"signed 3600 seconds ago; .* clock is 3600 seconds behind"):
        verify(nonces, signed(now=NOW - 3600))
    for offset in (30, -300):
        assert verify(nonces, signed(now=NOW + offset)) == "site:leeds"


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("https://HUB.example:443/a", "https://hub.example/a"),
        ("http://hub.example:80", "http://hub.example/"),
        ("http://[::1]:8080/a?", "http://[::1]:8080/a?"),
        ("https://hub.example/a%20b?x=%C3%A9", "https://hub.example/a%20b?x=%C3%A9"),
    ],
)
def test_two_spellings_of_one_address_are_one(nonces: Nonces, sent: str, received: str) -> None:
    assert verify(nonces, signed(url=sent), url=received) == "site:leeds"


def test_refuses_to_sign_what_is_no_request() -> None:
    with pytest.raises(WireError, match="upper-case method and a key id"):
        signed(method="post")
    for keyid in ("", 'a"b', "a\nb", "é", "x" * 201):
        with pytest.raises(WireError, match="upper-case method and a key id"):
            requests.sign("GET", URL, b"", LEEDS, keyid, NOW)
    for url in ("/api/round", "https://hub.example/a b", "https://hub.example/é"):
        with pytest.raises(WireError, match="full, encoded address"):
            signed(url=url)


def test_uses_the_clock_of_the_machine_unless_told(nonces: Nonces) -> None:
    headers = requests.sign("GET", URL, b"", LEEDS, "site:leeds")
    assert requests.verify("GET", URL, headers, b"", KNOWN.get, nonces) == "site:leeds"
