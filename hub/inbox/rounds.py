"""One round after another over an inbox: what has settled is loaded, reported and moved.

Errors that are the file's own put it into `rejected`. Where no centre can be asked, the round ends and the files stay:
the next round begins where this one ended. A mapping that cannot be read keeps its agency waiting, since a file that it
is meant for would be taken for something else.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from hub.catalogue.contract import Contract
from hub.errors import (
    BadRequestError,
    ConfigurationError,
    HubError,
    LimitError,
    OverloadedError,
    UnavailableError,
)
from hub.inbox.assign import Assignment, assign
from hub.inbox.folders import DONE, REJECTED, Agency, agencies, look_at, put_away
from hub.inbox.settle import Look, Watched, settled, watched
from hub.ingest import mapping as mappings

WAITING: Final = "waiting"

Report: TypeAlias = dict[str, Any]
Load: TypeAlias = Callable[[Path, Assignment, Callable[[], None]], Report]
"""Loads a whole file, and reports. Calls the last argument now and then: it raises FileChangedError if need be."""


class FileChangedError(Exception):
    """Somebody wrote into a file while it was loaded."""


@dataclass(slots=True, kw_only=True)
class Inbox:
    """`contracts` and `load` ask the centres, and raise HubError. `clock` gives seconds that never go back."""

    root: Path
    settle_s: float
    contracts: Callable[[], Mapping[str, Contract]]
    load: Load
    clock: Callable[[], float]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _watched: dict[Path, Watched] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)  # Agency → why it waits.

    def round(self) -> Iterator[Report]:
        """Reports of all that was taken, each as it is done. Raises HubError where no centre can be asked."""
        found = list(agencies(self.root))
        looks = {path: look for agency in found for path, look in agency.files.items()}
        self._watched = watched(self._watched, looks, self.clock())
        ready = settled(self._watched, self.clock(), self.settle_s)
        for agency in found:
            yield from (self._refused_link(agency, link) for link in agency.links)
            yield from self._agency(agency, [path for path in ready if path.parent == agency.folder])

    @property
    def unsettled(self) -> int:
        """Files that were seen and are not taken yet."""
        return len(self._watched)

    def _agency(self, agency: Agency, ready: list[Path]) -> Iterator[Report]:
        try:
            known = {path.name: mappings.read_mapping(path) for path in agency.mappings}
        except ConfigurationError as error:
            if self._told.get(agency.name) != str(error):
                self._told[agency.name] = str(error)
                yield {"agency": agency.name, "outcome": WAITING, **_words(error)}
            return
        self._told.pop(agency.name, None)
        for path in ready:
            look = look_at(path)
            if look != self._watched[path].look:
                continue
            yield self._file(agency.name, path, look, known)

    def _file(self, agency: str, path: Path, look: Look, known: Mapping[str, mappings.Mapping]) -> Report:
        begun, begun_s = self.now(), self.clock()
        report: Report = {"file": path.name, "agency": agency}

        def unchanged() -> None:
            if look_at(path) != look:
                raise FileChangedError

        try:
            contracts = self.contracts()
            report |= self._loaded(agency, path, known, contracts, unchanged)
            outcome = DONE
        except FileChangedError:
            self._watched.pop(path, None)
            changed = UnavailableError(
                f"{path.name} was changed while it was loaded", hint="rename it once it is whole"
            )
            return report | {"outcome": WAITING, **_words(changed)}
        except (BadRequestError, ConfigurationError) as error:
            outcome, report = REJECTED, report | _words(error)
        except LimitError as error:
            if isinstance(error, OverloadedError):
                raise
            outcome, report = REJECTED, report | _words(error)
        except HubError:
            raise  # Nobody can be asked now: the file stays.
        except Exception as error:  # A fault of ours must not keep the files behind this one waiting.
            traceback.print_exc()
            outcome, report = REJECTED, report | {"error": f"an error of ours: {error!r}", "hint": ""}
        report |= {"outcome": outcome, "begun_at": begun.isoformat(), "seconds": round(self.clock() - begun_s, 3)}
        return self._away(path, outcome, report)

    def _loaded(
        self,
        agency: str,
        path: Path,
        known: Mapping[str, mappings.Mapping],
        contracts: Mapping[str, Contract],
        unchanged: Callable[[], None],
    ) -> Report:
        assignment = assign(agency, path.name, known, contracts)
        loaded = self.load(path, assignment, unchanged)
        unchanged()
        return {"data_set": assignment.contract.name} | loaded

    def _refused_link(self, agency: Agency, link: Path) -> Report:
        report = {"file": link.name, "agency": agency.name, "outcome": REJECTED}
        error = ConfigurationError(f"{link.name} is a link, which is not followed", hint="put the file itself there")
        return self._away(link, REJECTED, report | _words(error))

    def _away(self, path: Path, outcome: str, report: Report) -> Report:
        target = put_away(path, outcome, report)
        self._watched.pop(path, None)
        return report | {"moved_to": f"{outcome}/{target.name}"}


def _words(error: HubError) -> dict[str, str]:
    return {"error": error.message, "hint": error.hint}
