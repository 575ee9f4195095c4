"""The witness port while roles are fixed: the configuration that the topology gives each log, for ever."""

from replication.core.types import Configuration


class FixedWitness:
    """Implements `replication.ports.Witness`: each centre leads the log that bears its name, both in sync."""

    def __init__(self, centres: frozenset[str]) -> None:
        self._centres = centres

    async def configuration(self, log: str) -> Configuration:
        assert log in self._centres, f"no centre leads log {log}"
        return Configuration(version=1, epoch=1, leader=log, in_sync=self._centres)

    async def compare_and_swap(self, log: str, configuration: Configuration) -> Configuration:
        return await self.configuration(log)
