"""CatalogueService: the contracts in force, and changing them as logged entries."""

from collections.abc import AsyncIterator
from typing import Protocol

import grpc

from hub.catalogue.contract import Contract
from hub.catalogue.load import contract_from_json, contract_to_json
from hub.errors import HubError
from hub.rpc.v1 import catalogue_pb2 as pb
from hub.rpc.v1 import catalogue_pb2_grpc as pb_grpc
from hub.rpc.v1.position_pb2 import Position
from hub.service.aborting import abort
from hub.watch import Watches


class Catalogue(Protocol):
    """What the service needs of a centre."""

    def contracts(self) -> dict[str, Contract]: ...

    async def change(self, contract: Contract) -> tuple[int, bool]:
        """Lsn of the contract's entry and whether anything changed; the entry is applied here on return."""


class CatalogueServicer(pb_grpc.CatalogueServiceServicer):
    def __init__(self, catalogue: Catalogue, watches: Watches) -> None:
        self._catalogue = catalogue
        self._watches = watches
        self._texts: dict[str, tuple[Contract, str]] = {}

    async def List(self, request: pb.ListRequest, context: object) -> pb.ListReply:  # noqa: N802  # the schema's name
        known = self._catalogue.contracts()
        wanted = [name for name in request.data_sets if name in known] or ([] if request.data_sets else known)
        return pb.ListReply(contracts=[self._text(known[name]) for name in wanted])

    def _text(self, contract: Contract) -> str:
        """Thousands of contracts take the event loop a tenth of a second: each is made into text once."""
        kept = self._texts.get(contract.name)
        if kept is None or kept[0] is not contract:
            kept = self._texts[contract.name] = contract, contract_to_json(contract)
        return kept[1]

    async def Apply(  # noqa: N802  # the schema's name
        self, request: pb.ApplyRequest, context: "grpc.aio.ServicerContext[pb.ApplyRequest, pb.ApplyReply]"
    ) -> pb.ApplyReply:
        try:
            contract = contract_from_json(request.contract)
            lsn, changed = await self._catalogue.change(contract)
        except HubError as error:
            await abort(context, error)
        return pb.ApplyReply(log=contract.home, lsn=lsn, changed=changed)

    async def Watch(  # noqa: N802  # the schema's name
        self,
        request: pb.WatchCatalogueRequest,
        context: "grpc.aio.ServicerContext[pb.WatchCatalogueRequest, pb.CatalogueReply]",
    ) -> AsyncIterator[pb.CatalogueReply]:
        after = dict(request.after.applied) if request.HasField("after") else None
        try:
            async for news in self._watches.contracts(after):
                contracts = [row["contract"] for row in news.rows]
                yield pb.CatalogueReply(contracts=contracts, position=Position(applied=news.position))
        except HubError as error:
            await abort(context, error)
