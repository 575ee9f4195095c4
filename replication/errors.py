"""Errors of replication, one tree. Each carries facts, whether its effect is definite, and what to do next.

    ReplicationError
    ├── NotLeadingError             this centre does not lead the log; `leader` does
    ├── LogError
    │   ├── LogDamagedError         bytes on disk are not what was written there
    │   ├── LogFullError            the disk is full; nothing was appended, and the log goes on
    │   ├── LogFailedError          a write or fsync failed; the log takes nothing more until it is opened anew
    │   └── EntryNotHeldError       an lsn before the log's first or after its last
    ├── SegmentError
    │   ├── SegmentMissingError     there is no such segment where it was looked for
    │   ├── SegmentDamagedError     bytes that do not have the checksum which names them
    │   ├── SegmentFullError        the disk is full; nothing was kept, and it may be tried again
    │   ├── SegmentFailedError      a read, write, fsync or rename failed
    │   ├── SegmentBusyError        the segment is just being received by somebody else
    │   └── SegmentTransferError    a transfer between the centres did not come about
    ├── ConfigurationDamagedError   the configuration file cannot be trusted
    └── WitnessError
        ├── WitnessLostError        the witness cannot be asked now, or is one that this centre does not trust
        ├── WitnessRefusedError     the witness does not do what it was asked; nothing changed
        └── WitnessDamagedError     a file of the witness, or of its identity, cannot be written or trusted

Bytes that are no entry raise `replication.codec.CodecError`; `LogDamagedError` adds the file to it.
"""

from pathlib import Path


class ReplicationError(Exception):
    """Base of all. `hint` says what to do next; `definite` is True when it is certain that nothing was written."""

    definite = True
    hint = ""


class NotLeadingError(ReplicationError):
    """`leader` is the centre that leads the log as far as this one knows."""

    hint = "ask the leader"

    def __init__(self, log: str, leader: str, *, definite: bool = True) -> None:
        super().__init__(log, leader)
        self.log = log
        self.leader = leader
        self.definite = definite

    def __str__(self) -> str:
        return f"log {self.log} is led by {self.leader}"


class LogError(ReplicationError):
    pass


class LogDamagedError(LogError):
    """`offset` is where the bad entry begins in `file` (0: the file's own header), `lsn` the first entry in doubt."""

    hint = "keep the files as they are; seed this centre from its peer"

    def __init__(self, file: Path, offset: int, lsn: int, reason: str) -> None:
        super().__init__(file, offset, lsn, reason)
        self.file = file
        self.offset = offset
        self.lsn = lsn
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.file} is damaged at byte {self.offset}, entry {self.lsn}: {self.reason}"


class LogFullError(LogError):
    hint = "free disk space, then append again"


class LogFailedError(LogError):
    """The entries may or may not be on disk: only recovery, at the next open, can tell."""

    definite = False
    hint = "check the disk, then restart the centre"


class EntryNotHeldError(LogError):
    hint = "fetch a snapshot when the entry is older than the log"

    def __init__(self, lsn: int, first_lsn: int, end_lsn: int) -> None:
        super().__init__(lsn, first_lsn, end_lsn)
        self.lsn = lsn
        self.first_lsn = first_lsn
        self.end_lsn = end_lsn

    def __str__(self) -> str:
        return f"entry {self.lsn} is not in the log, which holds {self.first_lsn} to {self.end_lsn}"


class SegmentError(ReplicationError):
    """`segment_id` is the segment's, `reason` says what happened, and at which place unless it is this one."""

    def __init__(self, segment_id: str, reason: str) -> None:
        super().__init__(segment_id, reason)
        self.segment_id = segment_id
        self.reason = reason

    def __str__(self) -> str:
        return f"segment {self.segment_id}: {self.reason}"


class SegmentMissingError(SegmentError):
    hint = "fetch it from the other centre"


class SegmentDamagedError(SegmentError):
    """Of a segment on disk: it no longer counts as held. Of one that was received: nothing was kept."""

    hint = "fetch it from the other centre again"


class SegmentFullError(SegmentError):
    hint = "free disk space, then try again"


class SegmentFailedError(SegmentError):
    """Nothing partial has the segment's name; whether the whole of it survives a crash is unknown."""

    definite = False
    hint = "check the disk, then restart the centre"


class SegmentBusyError(SegmentError):
    hint = "try again in a moment"


class SegmentTransferError(SegmentError):
    """Whether the segment arrived is unknown; `segment_id` is empty where none is concerned."""

    definite = False
    hint = "check that the other centre runs and can be reached, then try again: what arrived is not sent twice"

    def __str__(self) -> str:
        return super().__str__() if self.segment_id else self.reason


class ConfigurationDamagedError(ReplicationError):
    hint = "keep the file as it is; seed this centre from its peer"

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.file} is damaged: {self.reason}"


class WitnessError(ReplicationError):
    pass


class WitnessLostError(WitnessError):
    """`address` is the witness's; whether a change asked for was made is unknown."""

    definite = False
    hint = "check that the witness runs and can be reached; `cityhub status` says how this centre sees it"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"the witness at {self.address} cannot be asked: {self.reason}"


class WitnessRefusedError(WitnessError):
    hint = "`cityhub status` shows which configurations and which witness each centre knows"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the witness refuses: {self.reason}"


class WitnessDamagedError(WitnessError):
    """What was being written to `file` may or may not be there."""

    definite = False
    hint = "keep the file as it is, move it away, and rebuild the witness from both centres"

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.file} is damaged: {self.reason}"
