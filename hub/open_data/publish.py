"""Publishes one data set: read at one position, written, verified, recorded, shown.

1. The newest version on record; a version that was recorded and not shown is shown now.
2. One query at one centre, not older than the newest version; its answer goes into the files of a staged version.
3. The files are judged by themselves; whatever is wrong removes them.
4. Equal contents are no new version; its files are shown again where they are missing.
5. The version is recorded in `publications`: from here on it counts.
6. It is shown, and the catalogue written anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from hub.catalogue.contract import Contract
from hub.catalogue.dcat import Distribution, Release, catalog, dataset, document
from hub.client import HubClient
from hub.client.standby import standby_of
from hub.errors import ConfigurationError, HubError, UnavailableError
from hub.open_data import registry
from hub.open_data.files import File, Written, sha256_of, span, write_files
from hub.open_data.folder import CATALOG, METADATA, TO_CATALOG, Versions, newest_metadata, write_json
from hub.open_data.registry import Version
from hub.open_data.rows import Plan, plan_of
from hub.open_data.verify import verify
from hub.position import position_of_text, position_to_text

_TYPES: Final = {".csv": ("text/csv", "CSV"), ".parquet": ("application/vnd.apache.parquet", "PARQUET")}


class State(StrEnum):
    """`empty`: no row could go out, so there is no version. `restored`: nothing new, but its files were missing."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    RESTORED = "restored"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`version` is the newest on record, None if there is none."""

    data_set: str
    state: State
    version: Version | None


def publish(
    client: HubClient,
    contract: Contract,
    root: Path,
    *,
    now: datetime,
    centre: str | None = None,
    progress: Callable[[int, int], None] = lambda rows, rows_all: None,
) -> Outcome:
    """The next version of a data set under `root`, which the caller has locked, read at `centre`: by default the
    standby of its log. `now` is UTC without a zone; `progress` as in `files`. Raises HubError, and leaves nothing."""
    plan = plan_of(contract)
    versions = Versions(root, contract.name)
    newest = registry.newest(client, contract.name)
    _reconcile(versions, contract.name, newest)
    versions.stage()
    try:
        written, position = _read(client, contract, plan, versions.staged, centre, newest, progress)
        crowd = verify(plan, written)
        state = _state(versions, newest, written)
        if state in (State.EMPTY, State.UNCHANGED):
            versions.clear()
            return Outcome(data_set=contract.name, state=state, version=newest)
        if newest is not None and state is State.RESTORED:
            version = newest
        else:
            version = Version(
                version=newest.version + 1 if newest else 1,
                published_at=now,
                rows=written.rows,
                rows_withheld=(written.rows_all or 0) - written.rows,
                k=crowd,
                position=position,
                checksum=written.parquet.sha256,
            )
        write_json(versions.staged / METADATA, _metadata(contract, plan, version, written))
    except BaseException as error:
        versions.clear()
        if isinstance(error, OSError):
            raise UnavailableError(f"{root}: cannot be written to: {error}", hint="nothing was published") from error
        raise
    if state is State.PUBLISHED:
        version = _recorded(client, versions, contract.name, version)
    versions.show(version.version)
    return Outcome(data_set=contract.name, state=state, version=version)


def write_catalog(root: Path) -> int:
    """Writes the catalogue of what lies under `root`: the number of its data sets."""
    found = [{key: value for key, value in one.items() if key != "@context"} for one in newest_metadata(root)]
    if found:
        newest = max(datetime.fromisoformat(one["dct:issued"]["@value"]) for one in found)
        write_json(root / CATALOG, document(catalog(found, modified=newest)))
    return len(found)


def _reconcile(versions: Versions, data_set: str, newest: Version | None) -> None:
    """Shows what was recorded and not shown. Raises ConfigurationError for versions that nobody recorded."""
    known = newest.version if newest else 0
    shown = versions.path(known) / f"{data_set}.parquet"
    staged = versions.staged / f"{data_set}.parquet"
    whole = (versions.staged / METADATA).exists() and staged.exists()
    if newest and not shown.exists() and whole and sha256_of(staged) == newest.checksum:
        versions.show(known)
    if versions.newest() > known or (newest and shown.exists() and sha256_of(shown) != newest.checksum):
        raise ConfigurationError(
            f"{shown.parent.parent} holds versions of {data_set} that are not on record in this city",
            hint="another city published there, or the files were changed: choose another folder",
        )


def _read(
    client: HubClient,
    contract: Contract,
    plan: Plan,
    folder: Path,
    centre: str | None,
    newest: Version | None,
    progress: Callable[[int, int], None],
) -> tuple[Written, str]:
    """The files, and the position of what is in them."""
    answer = client.query(
        plan.sql,
        centre=centre or standby_of(client, contract.home),
        at_least=position_of_text(newest.position) if newest else None,
        query_class="analysis",
    )
    try:
        written = write_files(answer.reader, plan.schema, folder=folder, name=contract.name, progress=progress)
    except BaseException:
        answer.cancel()
        raise
    return written, position_to_text(answer.position)


def _state(versions: Versions, newest: Version | None, written: Written) -> State:
    if not written.rows:
        return State.EMPTY
    if newest is None or newest.checksum != written.parquet.sha256:
        return State.PUBLISHED
    return State.UNCHANGED if versions.path(newest.version).exists() else State.RESTORED


def _recorded(client: HubClient, versions: Versions, data_set: str, version: Version) -> Version:
    """What is staged stays where the version may be on record in spite of the error: the next attempt shows it."""
    try:
        return registry.record(client, data_set, version)
    except HubError as error:
        if error.definite:
            versions.clear()
        raise


def _metadata(contract: Contract, plan: Plan, version: Version, written: Written) -> dict[str, Any]:
    first, last = span(written.parquet.path, plan.time_column) if plan.time_column else ("", "")
    release = Release(
        version=version.version,
        issued=version.published_at,
        position=version.position,
        rows=version.rows,
        rows_withheld=version.rows_withheld,
        crowd_rows_min=version.k,
        first=first,
        last=last,
        distributions=tuple(_distribution(contract.name, version, file) for file in (written.csv, written.parquet)),
    )
    return document(dataset(contract, release), base=TO_CATALOG)


def _distribution(data_set: str, version: Version, file: File) -> Distribution:
    media_type, file_type = _TYPES[file.path.suffix]
    return Distribution(
        address=f"{data_set}/v{version.version}/{file.path.name}",
        media_type=media_type,
        file_type=file_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
    )
