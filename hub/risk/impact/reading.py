"""Reads of one simulation: at one centre, by default the standby, and never older than the one before."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from hub.client import HubClient
from hub.client.standby import standby_of
from hub.position import raise_to

_LOG: Final = "ops"  # The log of the registries: its standby has the least to do.


class Reading:
    """`position` is what the newest answer reflects."""

    def __init__(self, client: HubClient, *, centre: str | None) -> None:
        """Raises UnavailableError when no centre answers."""
        self._client = client
        self.centre = centre or standby_of(client, _LOG)
        self.position: dict[str, int] = {}

    def catch_up(self) -> None:
        """From here on, answers hold all that was acknowledged to anybody before. Raises UnavailableError if the centre
        cannot tell."""
        raise_to(self.position, self._client.query("select 1", centre=self.centre, strong=True).position)

    def table(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Raises HubError."""
        answer = self._client.query(sql, parameters or {}, centre=self.centre, at_least=self.position)
        raise_to(self.position, answer.position)
        return answer.table()
