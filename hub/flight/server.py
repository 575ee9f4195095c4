"""The Flight server of a centre: Flight SQL, and bulk exchanges. Its calls run in threads of their own, which pyarrow
makes.

    GetFlightInfo → schema and ticket → DoGet → answer         CreatePreparedStatement → handle, DoPut → parameters
    DoPut → bulk exchange, ingest                              other actions → sessions, cancel
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as fl
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError, Message

from hub.catalogue.contract import Contract
from hub.errors import BadRequestError, ConfigurationError, QueryError
from hub.flight import info, tables
from hub.flight.actions import ACTIONS, Actions
from hub.flight.answers import Callers, answer
from hub.flight.calls import Loop
from hub.flight.errors import flight_errors
from hub.flight.ingests import Ingests
from hub.flight.puts import batches_of, receive
from hub.flight.sessions import MIDDLEWARE, AnybodyHandler, Call, CallFactory, Sessions
from hub.flight.statements import PreparedStatements, read_parameters
from hub.ingest.reception import Reception
from hub.position import position_to_text
from hub.query.asked import Asked
from hub.query.desk import QueryDesk
from hub.rpc.v1 import bulk_pb2
from hub.rpc.v1 import flight_sql_pb2 as pb
from hub.service.exchanges import receipt_to_pb

_GRACE_S: Final = 2.0
_COMMANDS: Final[dict[str, type[Message]]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        bulk_pb2.BulkExchange,
        *(getattr(pb, name) for name in pb.DESCRIPTOR.message_types_by_name if name.startswith(("Command", "Ticket"))),
    )
}
_TABLES: Final[dict[type[Message], Callable[[Any, Any], pa.Table]]] = {
    pb.CommandGetSqlInfo: lambda command, _: info.sql_info(command.info),
    pb.CommandGetXdbcTypeInfo: lambda command, _: info.type_info(
        command.data_type if command.HasField("data_type") else None
    ),
    pb.CommandGetCatalogs: lambda *_: tables.catalogs(),
    pb.CommandGetDbSchemas: lambda command, _: tables.db_schemas(command),
    pb.CommandGetTables: tables.tables,
    pb.CommandGetTableTypes: lambda *_: tables.table_types(),
    pb.CommandGetPrimaryKeys: tables.primary_keys,
    pb.CommandGetExportedKeys: lambda *_: tables.foreign_keys(),
    pb.CommandGetImportedKeys: lambda *_: tables.foreign_keys(),
    pb.CommandGetCrossReference: lambda *_: tables.foreign_keys(),
}
# A ticket is one query: random bytes that name it, what the rest is, the rest.
_NAME_BYTES: Final = 12
_SQL, _HANDLE = b"S", b"P"


class FlightServer(fl.FlightServerBase):  # type: ignore[misc]  # pyarrow has no types
    """Serves from the moment it is made, in the event loop whose reception it feeds. Raises ConfigurationError when the
    address cannot be bound."""

    def __init__(
        self,
        address: str,
        reception: Reception,
        desk: QueryDesk,
        *,
        contracts: Callable[[], Mapping[str, Contract]],
        applied: Callable[[], dict[str, int]],
        create: Callable[[Contract], Coroutine[Any, Any, Any]],
        flight_address: Callable[[str], str],
    ) -> None:
        """`create` puts a contract in force through its log; `flight_address` is that of a centre by its gRPC one."""
        self._calls = Loop(asyncio.get_running_loop())
        self._reception = reception
        self._desk = desk
        self._contracts = contracts
        self._applied = applied
        self._ingests = Ingests(reception, self._calls, create=create, flight_address=flight_address)
        self._callers = Callers()
        self._prepared = PreparedStatements(desk.limits.prepared_max)
        sessions = Sessions(desk.limits.prepared_max)
        self._actions = Actions(desk, self._prepared, sessions, self._callers)
        try:
            super().__init__(
                f"grpc://{address}", auth_handler=AnybodyHandler(), middleware={MIDDLEWARE: CallFactory(sessions)}
            )
        except (pa.ArrowException, OSError) as error:
            raise ConfigurationError(f"{address} cannot be bound", hint="is another centre running there?") from error

    async def stop(self) -> None:
        """Takes no more calls, and gives those under way a moment."""
        self._callers.stop()
        stopping = threading.Thread(target=self.shutdown, name="stop flight", daemon=True)
        stopping.start()
        await asyncio.to_thread(stopping.join, _GRACE_S)

    @flight_errors
    def get_flight_info(self, context: fl.ServerCallContext, descriptor: fl.FlightDescriptor) -> fl.FlightInfo:
        command = _command(descriptor.command or b"")
        schema = self._schema(command)
        ticket = descriptor.command if type(command) in _TABLES else self._ticket(command)
        position = position_to_text(self._applied())  # The answer reflects at least this.
        endpoints = [fl.FlightEndpoint(ticket, [])]
        return fl.FlightInfo(schema, descriptor, endpoints, -1, -1, app_metadata=position.encode())

    @flight_errors
    def get_schema(self, context: fl.ServerCallContext, descriptor: fl.FlightDescriptor) -> fl.SchemaResult:
        return fl.SchemaResult(self._schema(_command(descriptor.command or b"")))

    @flight_errors
    def do_get(self, context: fl.ServerCallContext, ticket: fl.Ticket) -> fl.RecordBatchStream:
        command = _command(ticket.ticket)
        if type(command) in _TABLES:
            return fl.RecordBatchStream(_TABLES[type(command)](command, self._contracts()))
        if not isinstance(command, pb.TicketStatementQuery):
            raise BadRequestError(f"no rows come for {command.DESCRIPTOR.name}")
        asked = self._asked(command.statement_handle, context)
        if asked.strong or asked.at_least:
            self._calls.run(self._desk.reach(asked), context)
        return answer(self._desk, self._callers, asked, context, name=ticket.ticket)

    @flight_errors
    def do_put(
        self,
        context: fl.ServerCallContext,
        descriptor: fl.FlightDescriptor,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.FlightMetadataWriter,
    ) -> None:
        match _command(descriptor.command or b""):
            case bulk_pb2.BulkExchange() as header:
                self._bulk(header, context, reader, writer)
            case pb.CommandStatementIngest() as command:
                call = context.get_middleware(MIDDLEWARE)
                result = self._ingests.ingest(command, call, context, descriptor, reader)
                writer.write(result.SerializeToString())
            case pb.CommandPreparedStatementQuery() as command:
                prepared = self._prepared.get(command.prepared_statement_handle)
                prepared.parameters = read_parameters(prepared, reader)
            case pb.CommandStatementUpdate() | pb.CommandPreparedStatementUpdate():
                raise QueryError("statements only read", hint="rows are written by bulk ingest (adbc_ingest)")
            case other:
                raise BadRequestError(f"a put of {other.DESCRIPTOR.name} is not known here")

    @flight_errors
    def do_action(self, context: fl.ServerCallContext, action: fl.Action) -> Iterator[bytes]:
        call: Call = context.get_middleware(MIDDLEWARE)
        return iter(self._actions.run(action.type, action.body.to_pybytes(), call))

    def list_actions(self, context: fl.ServerCallContext) -> list[tuple[str, str]]:
        return list(ACTIONS.items())

    def _schema(self, command: Message) -> pa.Schema:
        if type(command) in _TABLES:
            return _TABLES[type(command)](command, self._contracts()).schema
        if isinstance(command, pb.CommandStatementQuery):
            return self._desk.describe(command.query)[0]
        if isinstance(command, pb.CommandPreparedStatementQuery):
            prepared = self._prepared.get(command.prepared_statement_handle)
            return self._desk.describe(prepared.sql, prepared.parameters if prepared.is_bound else None)[0]
        raise BadRequestError(f"{command.DESCRIPTOR.name} is not known here")

    def _ticket(self, command: Any) -> bytes:
        """Without parameters it needs no handle, which may be closed by then, nor this centre."""
        if isinstance(command, pb.CommandStatementQuery):
            rest = _SQL + command.query.encode()
        else:
            prepared = self._prepared.get(command.prepared_statement_handle)
            rest = _HANDLE + command.prepared_statement_handle if prepared.names else _SQL + prepared.sql.encode()
        packed = Packed()
        packed.Pack(pb.TicketStatementQuery(statement_handle=secrets.token_bytes(_NAME_BYTES) + rest))
        return packed.SerializeToString()

    def _asked(self, handle: bytes, context: fl.ServerCallContext) -> Asked:
        kind, rest = handle[_NAME_BYTES : _NAME_BYTES + 1], handle[_NAME_BYTES + 1 :]
        call: Call = context.get_middleware(MIDDLEWARE)
        if kind == _HANDLE:
            prepared = self._prepared.get(rest)
            return call.asked(prepared.sql, prepared.parameters, asked_by=context.peer())
        try:
            return call.asked(rest.decode(), asked_by=context.peer())
        except UnicodeDecodeError:
            raise BadRequestError("the ticket cannot be read") from None

    def _bulk(
        self,
        header: bulk_pb2.BulkExchange,
        context: fl.ServerCallContext,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.FlightMetadataWriter,
    ) -> None:
        receipt = receive(
            self._reception,
            self._calls,
            context,
            batches_of(reader, marked=True),
            writer,
            producer=header.producer,
            sequence=header.sequence,
            data_set=header.data_set,
            contract_version=header.contract_version,
        )
        writer.write(receipt_to_pb(receipt).SerializeToString())


def _command(data: bytes) -> Message:
    """Raises BadRequestError."""
    try:
        packed = Packed.FromString(data)
        kind = _COMMANDS.get(packed.TypeName())
        if kind is not None:
            return kind.FromString(packed.value)
    except DecodeError:
        raise BadRequestError("the command of this call cannot be read") from None
    raise BadRequestError(f"{packed.type_url or 'a call without a command'} is not known here")
