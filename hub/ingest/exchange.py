"""An exchange as it comes in, and the receipt that answers it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hub.errors import HubError
from hub.ingest.sections import Operation
from hub.segments.descriptor import Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Without an error: `rows` are on disk in every in-sync centre, `rows_rejected` are in quarantine."""

    sequence: int
    log: str = ""
    lsn: int = 0
    rows: int = 0
    rows_rejected: int = 0
    duplicate: bool = False
    error: HubError | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Exchange:
    """`payload` is an Arrow IPC stream, or with `bare` one record batch message in the contract's schema.

    `quarantine` is an Arrow IPC stream of the rows that the sender itself rejected, or empty. `segments`, unless None,
    hold the rows already, and there is no payload. `reply` is called once, in the event loop. Not frozen, and with its
    key and size worked out once: there are thousands a second.
    """

    producer: str
    sequence: int
    data_set: str
    operation: Operation
    payload: bytes
    bare: bool
    contract_version: int
    quarantine: bytes
    reply: Callable[[Receipt], None]
    segments: tuple[Descriptor, ...] | None = None
    key: tuple[str, int] = field(init=False)
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.producer, self.sequence
        self.size_bytes = len(self.payload) + len(self.quarantine)
