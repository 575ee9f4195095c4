"""The topology file, `city.toml`: centres, addresses, folders, limits. Every process reads the same file."""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from hub.errors import ConfigurationError
from replication.limits import ReplicationLimits

CENTRES: Final = ("ops", "ecc")
Address = Annotated[str, StringConstraints(pattern=r"^[^\s:]+:\d{1,5}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Centre(_Model):
    """Addresses of one centre. `flight` serves Flight SQL and bulk exchanges, `http` /metrics."""

    grpc: Address
    flight: Address
    http: Address


class WitnessPlace(_Model):
    """Where the witness serves, and how many changes of configuration it remembers."""

    grpc: Address = "127.0.0.1:7430"
    history_changes_max: int = Field(default=10_000, gt=0)


class IngestLimits(_Model):
    # One exchange as it travels, and what is waiting to be grouped, over all streams of a log.
    exchange_bytes_max: int = Field(default=8 << 20, gt=0)
    queue_bytes_max: int = Field(default=64 << 20, gt=0)
    # Exchanges are grouped into entries of about this many bytes; one exchange is never split.
    entry_bytes_max: int = Field(default=1 << 20, gt=0)
    # While this many entries are unacknowledged, another one is begun only when it would be a full one.
    small_entries_in_flight: int = Field(default=1, gt=0)
    group_exchanges_max: int = Field(default=2048, gt=0)
    # A write that is not acknowledged by then is answered with a retryable error.
    write_wait_ms_max: int = Field(default=5000, gt=0)
    # What one stream may have unanswered.
    stream_window_exchanges_max: int = Field(default=4096, gt=0)
    # Below this much free disk, writes are refused and reads go on.
    disk_free_bytes_min: int = Field(default=512 << 20, ge=0)


class SegmentLimits(_Model):
    # A segment that is made of what an agency sends, or of hot rows.
    rows_max: int = Field(default=2_000_000, gt=0)
    bytes_max: int = Field(default=256 << 20, gt=0)
    # Bulk exchanges that are taken in at a time, over all logs, and threads that encode. More wait.
    exchanges_max: int = Field(default=4, gt=0)
    encoder_threads: int = Field(default=2, gt=0)
    rejected_rows_max: int = Field(default=10_000, gt=0)


class UpkeepLimits(_Model):
    # How often the leader of a log looks for what is due, and each centre for what is missing.
    look_ms: int = Field(default=1000, gt=0)
    # Hot rows of a data set are sealed into segments when there are this many, or by age when there are enough of them.
    seal_rows: int = Field(default=1_000_000, gt=0)
    seal_age_s: float = Field(default=600.0, gt=0)
    seal_rows_min: int = Field(default=10_000, gt=0)
    # Segments are merged `compact_fan_in` at a time into ones of at most this many rows, and bytes in memory.
    compact_fan_in: int = Field(default=8, gt=1)
    compact_rows_max: int = Field(default=16_000_000, gt=0)
    compact_bytes: int = Field(default=64 << 20, gt=0)
    compact_memory_bytes_max: int = Field(default=512 << 20, gt=0)
    # While bulk exchanges come in, compaction waits until so many segments of a data set are to be merged.
    compact_debt_max: int = Field(default=1000, gt=0)
    # Of the time, at most this share is spent on compaction; and of the disk, this rate on scrubbing.
    compact_share: float = Field(default=0.5, gt=0, le=1)
    scrub_bytes_per_s: int = Field(default=16 << 20, gt=0)
    # Files that no entry ever named are removed after this.
    orphan_s: float = Field(default=3600.0, gt=0)


class QueryClassLimits(_Model):
    """Of the queries of one class at a centre; as they stand here, of interactive ones."""

    running_max: int = Field(default=8, gt=0)
    # More wait, in order, this long; what is beyond is refused with a delay to come back after.
    queue_max: int = Field(default=256, ge=0)
    wait_ms_max: int = Field(default=5000, gt=0)
    time_s_max: float = Field(default=60.0, gt=0)
    # Of each operator that can put its rows on disk: a sort, a join, an aggregation.
    memory_bytes_max: int = Field(default=512 << 20, gt=0)


class AnalysisLimits(QueryClassLimits):
    running_max: int = Field(default=2, gt=0)
    wait_ms_max: int = Field(default=60_000, gt=0)
    time_s_max: float = Field(default=1800.0, gt=0)
    memory_bytes_max: int = Field(default=1 << 30, gt=0)


class SystemLimits(QueryClassLimits):
    running_max: int = Field(default=2, gt=0)
    wait_ms_max: int = Field(default=60_000, gt=0)
    time_s_max: float = Field(default=600.0, gt=0)


class QueryLimits(_Model):
    rows_max: int = Field(default=100_000_000, gt=0)
    sql_bytes_max: int = Field(default=64 << 10, gt=0)
    batch_rows: int = Field(default=65_536, gt=0)
    # How long a read waits for the position it asks for.
    position_wait_ms_max: int = Field(default=5000, gt=0)
    interactive: QueryClassLimits = QueryClassLimits()
    analysis: AnalysisLimits = AnalysisLimits()
    system: SystemLimits = SystemLimits()
    # In emergency mode the emergency centre runs so many times more interactive queries, and both centres so many
    # times fewer of analysis.
    emergency_share: int = Field(default=2, gt=0)
    # Statements that clients of Flight SQL have prepared, and their sessions; the longest unused are forgotten.
    prepared_max: int = Field(default=10_000, gt=0)


class StoreLimits(_Model):
    memory_bytes_max: int = Field(default=2 << 30, gt=0)
    temp_bytes_max: int = Field(default=16 << 30, gt=0)
    threads: int = Field(default=2, gt=0)


class LogLimits(_Model):
    # Of each log this much stays, for a standby that was away for a moment.
    keep_bytes: int = Field(default=1 << 30, gt=0)
    # While a standby is out of sync, all stays up to this length or for this long: then it is lost, and comes back by
    # a snapshot.
    cap_bytes: int = Field(default=16 << 30, gt=0)
    cap_s: float = Field(default=86_400.0, gt=0)


class ReadinessLimits(_Model):
    """What `cityhub validate` holds the pair to."""

    # Age of the witness's newest view, in heartbeats: as old as suspicion still takes it.
    view_beats_max: int = Field(default=4, gt=0)
    # How long a leader's request may wait for the witness.
    pending_ms_max: int = Field(default=2000, gt=0)
    transport_lag_entries_max: int = Field(default=1000, gt=0)
    transport_lag_bytes_max: int = Field(default=64 << 20, gt=0)
    transport_lag_s_max: float = Field(default=1.0, gt=0)
    apply_lag_entries_max: int = Field(default=1000, gt=0)
    store_bytes_max: int = Field(default=256 << 30, gt=0)
    log_bytes_max: int = Field(default=256 << 30, gt=0)


class City(_Model):
    """The whole file. Each centre leads the log that bears its name."""

    data: Path
    centres: dict[str, Centre]
    witness: WitnessPlace = WitnessPlace()
    replication: ReplicationLimits = ReplicationLimits()
    ingest: IngestLimits = IngestLimits()
    segments: SegmentLimits = SegmentLimits()
    upkeep: UpkeepLimits = UpkeepLimits()
    query: QueryLimits = QueryLimits()
    store: StoreLimits = StoreLimits()
    log: LogLimits = LogLimits()
    readiness: ReadinessLimits = ReadinessLimits()

    @model_validator(mode="after")
    def _two_centres(self) -> Self:
        if set(self.centres) != set(CENTRES):
            raise ValueError(f"centres must be exactly {' and '.join(CENTRES)}")
        return self

    def peer(self, centre: str) -> str:
        return CENTRES[1 - CENTRES.index(centre)]

    def folder(self, centre: str) -> Path:
        return self.data / centre

    @property
    def witness_folder(self) -> Path:
        return self.data / "witness"


def load_city(path: Path, *, data: Path | None = None) -> City:
    """Reads a topology file; `data` replaces its folder. Raises ConfigurationError naming file and field."""
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
        if data is not None:
            facts["data"] = data
        city = City.model_validate(facts)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no topology file {path}", hint="name one with --city FILE") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {field or 'file'}: {first['msg']}") from error
    folder = city.data if city.data.is_absolute() or data is not None else path.parent / city.data
    return city.model_copy(update={"data": folder})
