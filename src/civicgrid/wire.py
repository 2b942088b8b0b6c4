"""The messages between client, hub and node, each defined once, and the frame that they travel in.

A frame is MessagePack: a typed header (canonical JSON) and named binary blobs (raw little-endian buffers), under the
limits below, which are checked before anything is built from the bytes. What the hub sends to nodes is a *task*: one frame
under one signature of the hub, the same bytes for every site, kept by the hub and sent again after a restart. What a node
sends is inside a signed HTTP request.

    client -> hub    StudyRequest, signed by the researcher (a DSSE envelope)
    hub -> node      Prepare: the signed study and the sites it is proposed to         -> Accepted | Refused
                     Round: an Ask of one analysis, under a roster that all have signed -> Shared | Refused
                     Finish: the run is over, its table may be dropped                  (no reply)
    node -> hub      Hello: what the site holds and can run
                     Exchange: replies that are ready, and a request for the next tasks
                     Witnessing: what the node has seen of the public register   -> RegisterHead
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import msgpack
from pydantic import Field, TypeAdapter, ValidationError

from civicgrid.canonical import Node, crowded, describe, parse
from civicgrid.disclosure.codes import WORDS, Code
from civicgrid.disclosure.output import Output
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import TrustError, WireError
from civicgrid.methods.plan import Plan, check_format
from civicgrid.packed import unpack
from civicgrid.query.types import Schema
from civicgrid.trust.envelope import Envelope, pae
from civicgrid.trust.keys import SigningKey, verify
from civicgrid.trust.roster import Member, Roster

MAX_FRAME = 64_000_000
MAX_HEADER = 4_000_000
MAX_BLOBS = 1_000

STUDY = "application/vnd.civicgrid.study+json"
STANDING = "application/vnd.civicgrid.standing+json"
TASK = "application/vnd.civicgrid.task"
REGISTER = "application/vnd.civicgrid.register+json"
MEDIA = "application/vnd.civicgrid.frame"

T = TypeVar("T", bound=Node)
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]


class StudyRequest(Node):
    """A researcher asks for one plan to be run: by whom, for which project, where, and a nonce that makes it one run."""

    kind: Literal["study"] = "study"
    network: Name
    project: Annotated[str, Field(min_length=1, max_length=64)]
    person: str
    plan: Plan
    sites: tuple[Name, ...] = ()
    nonce: Annotated[str, Field(min_length=16, max_length=64)]

    def signed(self, key: SigningKey) -> Envelope:
        return Envelope.sign(STUDY, self.canonical(), key)


def read_study(study: Envelope) -> StudyRequest:
    """The request inside a signed study, once the person that it names is found to have signed it.

    A plan of a later format is refused with advice. Whether that person may ask is for the permits to say.
    """
    try:
        claimed = parse(base64.b64decode(study.payload))
        check_format(claimed.get("plan"))
        person = str(claimed["person"])
    except (ValueError, AttributeError, KeyError, TypeError):
        raise WireError("Expected a signed study; the envelope holds something else.") from None
    return StudyRequest.from_bytes(study.verify(STUDY, [person]))


class Prepare(Node):
    """Whether the site will take part, and its signature under the proposed roster."""

    kind: Literal["prepare"] = "prepare"
    network: Name
    run: Digest
    study: Envelope
    roster: Roster


class Round(Node):
    """One Ask of one analysis, the Ask being the blob "ask".

    `signed` is the roster under every member's signature, and `standings` what each said of itself, the first time that
    anything is asked under that roster; the nodes keep them. `version` is that of the method's half at the hub.
    """

    kind: Literal["round"] = "round"
    network: Name
    run: Digest
    attempt: int = Field(ge=0, le=1000)
    analysis: str
    version: int
    round: int = Field(ge=0, le=10_000)
    roster: Digest
    signed: Envelope | None = None
    standings: tuple[Envelope, ...] = ()


class Finish(Node):
    """The run is over: the site may drop what it kept for it."""

    kind: Literal["finish"] = "finish"
    network: Name
    run: Digest


Task = Prepare | Round | Finish
_TASK: TypeAdapter[Task] = TypeAdapter(Annotated[Task, Field(discriminator="kind")])


class Standing(Node):
    """What a site says of itself when it signs a roster: whether its people are many enough to be told apart.

    When a later roster leaves this site out, the difference of the two totals is this site's part. The others answer
    under the later roster only if it has said, under its signature, that this would not give a small group away.
    """

    kind: Literal["standing"] = "standing"
    roster: Digest
    site: Name
    alone: bool

    def signed(self, key: SigningKey) -> Envelope:
        return Envelope.sign(STANDING, self.canonical(), key)


class Accepted(Node):
    """The site takes part: its signature of the roster, and the thresholds that it asks of anything published."""

    kind: Literal["accepted"] = "accepted"
    task: Digest
    signature: Envelope
    standing: Envelope
    thresholds: Thresholds


class Shared(Node):
    """The site's released share, as the blob named by the task's digest."""

    kind: Literal["shared"] = "shared"
    task: Digest


class Refused(Node):
    """The site will not answer: a code, and nothing else."""

    kind: Literal["refused"] = "refused"
    task: Digest
    code: Code = Field(strict=False)


Reply = Accepted | Shared | Refused
_REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])


def read_reply(header: bytes) -> Reply:
    """A node's reply from its bytes."""
    try:
        return _REPLY.validate_json(header)
    except ValidationError as error:
        raise WireError(f"This is not a valid reply: {describe(error)}") from None


class Holding(Node):
    """A data set as a site announces it: its name, kind, snapshot, and for a research table its dictionary's schema."""

    name: Name
    kind: Literal["omop", "table"]
    snapshot: Digest
    dictionary: Schema | None = None


class Hello(Node):
    """What the site holds and which versions of which methods it can run."""

    kind: Literal["hello"] = "hello"
    network: Name
    member: Member
    holdings: tuple[Holding, ...]
    methods: dict[str, int]
    software: Annotated[str, Field(max_length=100)]
    session: Annotated[str, Field(max_length=64)]


class RegisterKey(Node):
    """Under which name and key the public register is signed: said by the hub, under the key that sites pin."""

    kind: Literal["register"] = "register"
    network: Name
    origin: Annotated[str, Field(min_length=1, max_length=300)]
    key: Annotated[str, Field(max_length=500)]


class Witnessing(Node):
    """How much of the register a node has seen, and its cosignature of that; empty when it has none to give."""

    kind: Literal["witnessing"] = "witnessing"
    size: int = Field(ge=0, le=2**53)
    line: Annotated[str, Field(max_length=1000)] = ""


class RegisterHead(Node):
    """The register's newest checkpoint, and the proof that it begins with what the node has seen."""

    kind: Literal["register_head"] = "register_head"
    statement: Envelope
    checkpoint: Annotated[str, Field(max_length=500_000)]
    proof: Annotated[tuple[Digest, ...], Field(max_length=130)] = ()


def witness_name(origin: str, site: str) -> str:
    """The name under which a site's node cosigns the register of this name."""
    return f"{origin}/{site}"


class Exchange(Node):
    """Replies that are ready, and a request for the next tasks: wait at most `wait` seconds for one to come.

    `session` is drawn at every start of a node and announced in its Hello: tasks handed to a process that died are handed
    out again, and a process that another has taken over from is turned away.
    """

    kind: Literal["exchange"] = "exchange"
    session: Annotated[str, Field(max_length=64)]
    replies: tuple[Annotated[Reply, Field(discriminator="kind")], ...] = Field(default=(), max_length=MAX_BLOBS)
    wait: float = Field(default=20.0, ge=0, le=60)


class Tasks(Node):
    """Which replies the hub has stored for good, and the next tasks as blobs "0", "1", …"""

    kind: Literal["tasks"] = "tasks"
    stored: tuple[Digest, ...] = ()
    tasks: int = Field(default=0, ge=0, le=MAX_BLOBS)


class SiteOutcome(Node):
    """What became of one site in one analysis. `code` says why it did not answer; a suppressed site has none."""

    site: Name
    status: Literal["answered", "suppressed", "refused", "offline"]
    code: Code | None = Field(default=None, strict=False)

    def words(self) -> str:
        if self.status == "refused" and self.code is not None:
            return WORDS[self.code]
        return {
            "answered": "Answered.",
            "suppressed": WORDS[Code.DISCLOSURE],
            "offline": "Did not answer in time: the node was not connected, or it was lost during the run.",
        }.get(self.status, "")


class AnalysisResult(Node):
    """The answer of one analysis, or why there is none; and what became of each site. `mode` is how shares travelled."""

    name: str
    output: Output | None = None
    failure: str = ""
    mode: Literal["masked", "open", "none"] = "none"
    rounds: int = 0
    sites: tuple[SiteOutcome, ...] = ()


class StudyResult(Node):
    """What a researcher gets back: the plan's digest and the answer to each of its analyses."""

    kind: Literal["result"] = "result"
    run: Digest
    plan: Digest
    analyses: tuple[AnalysisResult, ...]


@dataclass(frozen=True)
class Frame:
    """A header and its blobs."""

    header: Node
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        packed: bytes = msgpack.packb([self.header.canonical(), dict(self.blobs)])
        return packed


def unframe(raw: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Header bytes and blobs, under the limits. WireError for anything else."""
    if len(raw) > MAX_FRAME:
        raise WireError(f"Expected a message of at most {MAX_FRAME:,} bytes; {len(raw):,} came.")
    try:
        header, blobs = unpack(raw, 2 * MAX_BLOBS + 3)
    except (ValueError, TypeError):
        raise WireError("Expected a Civic Grid message; these bytes are not one.") from None
    if (
        not isinstance(header, bytes)
        or not isinstance(blobs, dict)
        or len(header) > MAX_HEADER
        or crowded(header)
        or len(blobs) > MAX_BLOBS
        or not all(isinstance(k, str) and isinstance(v, bytes) for k, v in blobs.items())
    ):
        raise WireError("Expected a message of a header and named buffers; it has another form.")
    return header, blobs


def read_frame(kind: type[T], raw: bytes) -> tuple[T, dict[str, bytes]]:
    """A frame whose header must be of this kind."""
    header, blobs = unframe(raw)
    try:
        return kind.model_validate_json(header), blobs
    except ValidationError as error:
        raise WireError(f"This is not a valid {kind.__name__} message: {describe(error)}") from None


@dataclass(frozen=True)
class SignedTask:
    """A task as it travels: its frame under the hub's signature. `digest` names it at hub and node."""

    payload: bytes
    signature: bytes

    @classmethod
    def sign(cls, frame: Frame, key: SigningKey) -> SignedTask:
        payload = frame.to_bytes()
        return cls(payload, key.sign(pae(TASK, payload)))

    def to_bytes(self) -> bytes:
        packed: bytes = msgpack.packb([self.payload, self.signature])
        return packed

    @classmethod
    def from_bytes(cls, raw: bytes) -> SignedTask:
        try:
            payload, signature = unpack(raw, 3)
        except (ValueError, TypeError):
            raise WireError("Expected a signed task; these bytes are not one.") from None
        if not isinstance(payload, bytes) or not isinstance(signature, bytes):
            raise WireError("Expected a signed task; it has another form.")
        return cls(payload, signature)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()

    def open(self, hub_key: str) -> tuple[Task, dict[str, bytes]]:
        """The task, once the hub's signature is found to hold."""
        try:
            verify(hub_key, self.signature, pae(TASK, self.payload))
        except TrustError:
            raise TrustError(
                "Expected a task signed by this network's hub; the signature does not hold. It was changed on the way, "
                "or the hub has another key than the one in this node's settings."
            ) from None
        header, blobs = unframe(self.payload)
        try:
            return _TASK.validate_json(header), blobs
        except ValidationError as error:
            raise WireError(f"This is not a task that this node understands: {describe(error)}") from None


__all__ = [
    "MEDIA",
    "STUDY",
    "Accepted",
    "AnalysisResult",
    "Exchange",
    "Finish",
    "Frame",
    "Hello",
    "Holding",
    "Member",
    "Prepare",
    "Refused",
    "Reply",
    "Roster",
    "Round",
    "Shared",
    "SignedTask",
    "SiteOutcome",
    "Standing",
    "StudyRequest",
    "StudyResult",
    "Task",
    "Tasks",
    "read_frame",
    "read_reply",
    "read_study",
    "unframe",
]
