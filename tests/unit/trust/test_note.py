"""Signed notes, checkpoints and cosignatures: published examples, and every change refused."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.errors import TrustError
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.note import LOG, WITNESS, Checkpoint, Line, Note, NoteKey, cosigned, signed

# The example of Go's golang.org/x/mod/sumdb/note, which the format comes from.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

# The example of c2sp.org/tlog-cosignature. It comes without keys, so its form alone can be held to.
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOA"
    "YQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIU"
    "BkBIfZ+qnA==\n"
)

ORIGIN = "hub.example/net"
KEY, NODE = SigningKey.generate(), SigningKey.generate()
LOG_KEY, NODE_KEY = NoteKey(ORIGIN, KEY.public), NoteKey(f"{ORIGIN}/witness/york", NODE.public, WITNESS)
HEAD = Checkpoint(ORIGIN, 5, bytes(range(32)))
NOW = 1_700_000_000


def witnessed() -> Note:
    return signed(HEAD.text, KEY, ORIGIN).with_lines([cosigned(HEAD.text, NODE, NODE_KEY.name, NOW)])


# --- published examples -------------------------------------------------------------------------------------------------


def test_the_published_note_is_read_and_made_byte_for_byte() -> None:
    key = NoteKey.parse(VKEY)
    assert (key.name, key.id.hex(), key.type, str(key)) == ("PeterNeumann", "c74f20a3", LOG, VKEY)
    note = Note.parse(SIGNED.encode())
    assert note.opened([key]) == {key: 0}
    assert (note.text, str(note)) == (TEXT, SIGNED)
    private = SigningKey(Ed25519PrivateKey.from_private_bytes(base64.b64decode(PRIVATE)[1:]))
    assert str(signed(TEXT, private, "PeterNeumann")) == SIGNED


def test_the_published_checkpoint_and_cosignature_are_read() -> None:
    note = Note.parse(SOFA.encode())
    assert str(note) == SOFA
    assert Checkpoint.parse(note.text).size == 20852163
    assert Checkpoint.parse(note.text).text == note.text
    log, witness = note.lines
    assert (log.id.hex(), len(log.signature)) == ("033de0ae", 64)
    assert (witness.id.hex(), len(witness.signature)) == ("8d66cf3f", 8 + 64)
    assert int.from_bytes(witness.signature[:8], "big") == 1679315147


# --- our own ------------------------------------------------------------------------------------------------------------


def test_a_cosignature_is_over_the_time_and_the_checkpoint() -> None:
    """Written out from the specification, and checked by the library that the signature comes from."""
    line = cosigned(HEAD.text, NODE, NODE_KEY.name, NOW)
    public = base64.urlsafe_b64decode(NODE.public.partition(":")[2] + "=")
    assert line.id == hashlib.sha256(NODE_KEY.name.encode() + b"\n\x04" + public).digest()[:4]
    message = f"cosignature/v1\ntime {NOW}\n{ORIGIN}\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert line.signature[:8] == NOW.to_bytes(8, "big")
    NODE._private.public_key().verify(line.signature[8:], message.encode())


def test_a_witnessed_checkpoint_is_opened() -> None:
    note = Note.parse(str(witnessed()))
    assert note.opened([LOG_KEY, NODE_KEY]) == {LOG_KEY: 0, NODE_KEY: NOW}
    assert note.opened([]) == {}
    assert Checkpoint.parse(note.text) == HEAD


def test_a_signature_of_the_log_is_none_of_a_witness() -> None:
    """One key under one name, asked for as the other type: other ids, and other messages."""
    note = signed(HEAD.text, KEY, ORIGIN)
    assert note.opened([NoteKey(ORIGIN, KEY.public, WITNESS)]) == {}
    false = Note(note.text, (Line(ORIGIN, NoteKey(ORIGIN, KEY.public, WITNESS).id, bytes(8) + note.lines[0].signature),))
    with pytest.raises(TrustError, match="does not hold"):
        false.opened([NoteKey(ORIGIN, KEY.public, WITNESS)])


def test_a_line_of_a_stranger_is_left_aside_and_a_false_one_under_a_known_name_is_not() -> None:
    stranger = SigningKey.generate()
    note = signed(HEAD.text, KEY, ORIGIN).with_lines(signed(HEAD.text, stranger, ORIGIN).lines)
    assert note.opened([LOG_KEY]) == {LOG_KEY: 0}
    false = note.with_lines([Line(NODE_KEY.name, NODE_KEY.id, bytes(72))])
    with pytest.raises(TrustError, match="york on this note does not hold"):
        false.opened([LOG_KEY, NODE_KEY])
    with pytest.raises(TrustError, match="there are more"):
        note.with_lines(note.lines[:1]).opened([LOG_KEY])


NOTE = str(witnessed()).encode()


@given(st.integers(0, len(NOTE) * 8 - 1))
def test_any_changed_bit_is_seen(bit: int) -> None:
    changed = bytearray(NOTE)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        found = Note.parse(bytes(changed)).opened([LOG_KEY, NODE_KEY])
    except TrustError:
        return
    assert len(found) < 2, "a changed note is signed by both"


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_what_is_no_note_is_refused_in_words(text: str | bytes) -> None:
    with pytest.raises(TrustError, match="Expected"):
        Note.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "a\n1\n", "a\n01\nAA==\n", "a\n-1\n" + base64.b64encode(bytes(32)).decode() + "\n", "a\n1\nAA==\n"]
    + [HEAD.text + "more\n", "\n5\n" + HEAD.text.split("\n")[2] + "\n", HEAD.text.replace("=", "")],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(TrustError, match="Expected a"):
        Checkpoint.parse(text)


@pytest.mark.parametrize("text", [VKEY[1:], VKEY[:-1], VKEY.replace("+", " "), VKEY.replace("c74f", "c740"), "", "a+b+c"])
def test_keys_that_are_not_whole_are_refused(text: str) -> None:
    with pytest.raises(TrustError, match="Expected"):
        NoteKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a b"])
def test_names_that_would_break_a_line_are_refused(name: str) -> None:
    with pytest.raises(TrustError, match="without spaces"):
        NoteKey(name, KEY.public)


def test_a_note_too_long_or_with_too_many_signatures_is_not_read() -> None:
    line = str(signed(HEAD.text, KEY, ORIGIN).lines[0])
    with pytest.raises(TrustError, match="at most 1,000 signatures"):
        Note.parse(f"{HEAD.text}\n{line * 1001}")
    with pytest.raises(TrustError, match="at most 500,000 bytes"):
        Note.parse(b"a" * 500_001)
