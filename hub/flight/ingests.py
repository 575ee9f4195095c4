"""`adbc_ingest`: rows that a Flight SQL client sends for a data set, at either centre.

    where does its log lead? here → a bulk exchange (events), or small ones (registries, watched ones)
                             there → passed on as they come

With an idempotency key the same rows sent again are taken once. A data set that does not exist is created when the
client says so, with a contract that its columns make.
"""

import secrets
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as fl

from hub.catalogue.contract import Contract, Kind
from hub.catalogue.infer import contract_of_schema
from hub.errors import BadRequestError, ContractError, NotLeaderError, UnavailableError, UnknownDataSetError
from hub.flight.calls import END, KEEPALIVE, Loop
from hub.flight.errors import error_of_flight
from hub.flight.puts import batches_of, receive
from hub.flight.sessions import FORWARDED_HEADER, HOME_HEADER, KEY_HEADER, Call
from hub.flight.tables import SCHEMA
from hub.ingest.arrow import combine
from hub.ingest.exchange import Receipt
from hub.ingest.reception import Reception
from hub.position import raise_to
from hub.query.guard import CATALOG
from hub.rpc.v1 import flight_sql_pb2 as pb

_Options: Final = pb.CommandStatementIngest.TableDefinitionOptions
_SMALL_ROWS: Final = 10_000
_PASSED_ON: Final = (KEY_HEADER, HOME_HEADER)


class Ingests:
    """`flight_address` of a centre by its gRPC address; `create` puts a contract in force where its log leads."""

    def __init__(
        self,
        reception: Reception,
        loop: Loop,
        *,
        create: Callable[[Contract], Coroutine[Any, Any, Any]],
        flight_address: Callable[[str], str],
    ) -> None:
        self._reception = reception
        self._loop = loop
        self._create = create
        self._flight_address = flight_address

    def ingest(
        self,
        command: pb.CommandStatementIngest,
        call: Call,
        context: fl.ServerCallContext,
        descriptor: fl.FlightDescriptor,
        rows: fl.MetadataRecordBatchReader,
    ) -> pb.DoPutUpdateResult:
        """How many rows were taken, and where they stand. Raises HubError; rows that fail their checks are in
        `quarantine`. A session reads what it wrote."""
        _check(command)
        is_passed_on = FORWARDED_HEADER in call.headers
        batches = batches_of(rows, marked=is_passed_on)
        try:
            contract = self._contract(command, call, rows.schema)
            result = self._take(contract, call, context, batches)
        except NotLeaderError as error:
            if is_passed_on:
                raise UnavailableError("the lead of this log is changing", hint="try again") from error
            result = self._forward(self._flight_address(error.address), call, descriptor, rows.schema, batches)
        raise_to(call.began().position, result.position)
        return result

    def _contract(self, command: pb.CommandStatementIngest, call: Call, schema: pa.Schema) -> Contract:
        wanted = command.table_definition_options
        try:
            contract = self._loop.run(self._reception.contract(command.table))
        except UnknownDataSetError:
            if wanted.if_not_exist != _Options.TABLE_NOT_EXIST_OPTION_CREATE:
                raise ContractError(
                    f"there is no data set {command.table!r}", hint="ingest with mode create_append"
                ) from None
            contract = contract_of_schema(command.table, schema, home=call.headers.get(HOME_HEADER, "ops"))
            self._loop.run(self._create(contract))
            return contract
        if wanted.if_exists == _Options.TABLE_EXISTS_OPTION_FAIL:
            raise ContractError(f"there is a data set {command.table!r} already", hint="ingest with mode append")
        return contract

    def _take(
        self, contract: Contract, call: Call, context: fl.ServerCallContext, batches: Iterator[pa.RecordBatch]
    ) -> pb.DoPutUpdateResult:
        self._reception.admission_of(contract)  # Before any of the rows are read, which may have to be passed on.
        producer = f"ingest-{call.headers.get(KEY_HEADER) or secrets.token_hex(12)}"
        if contract.kind is Kind.EVENT and not contract.watched:
            receipt = receive(
                self._reception,
                self._loop,
                context,
                batches,
                None,
                producer=producer,
                sequence=1,
                data_set=contract.name,
            )
            return _taken([receipt])
        receipts = []
        for sequence, some in enumerate(_cut(batches, _SMALL_ROWS), start=1):
            sending = self._reception.small(contract, some, producer=producer, sequence=sequence)
            receipts.append(self._loop.run(sending, context))
        return _taken(receipts)

    def _forward(
        self,
        address: str,
        call: Call,
        descriptor: fl.FlightDescriptor,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
    ) -> pb.DoPutUpdateResult:
        """Passes the rows on to the centre that leads; nothing of them was read here."""
        headers = [(FORWARDED_HEADER, "1"), *((one, call.headers[one]) for one in _PASSED_ON if one in call.headers)]
        options = fl.FlightCallOptions(headers=[(name.encode(), value.encode()) for name, value in headers])
        with fl.connect(f"grpc://{address}", generic_options=KEEPALIVE) as there:
            try:
                writer, replies = there.do_put(descriptor, schema, options)
                try:
                    for batch in batches:
                        writer.write_batch(batch)
                    writer.write_metadata(END)
                    writer.done_writing()
                    reply = replies.read()
                finally:
                    writer.close()  # Raises what the other centre said.
            except (pa.ArrowException, OSError) as error:
                raise error_of_flight(error, address) from error
        return pb.DoPutUpdateResult.FromString(reply.to_pybytes())


def _check(command: pb.CommandStatementIngest) -> None:
    if command.temporary:
        raise BadRequestError("there are no temporary data sets")
    if command.catalog not in ("", CATALOG) or command.schema not in ("", SCHEMA):
        raise BadRequestError(f"{command.catalog}.{command.schema} is not known", hint=f"there is {CATALOG}.{SCHEMA}")
    if command.HasField("transaction_id") and command.transaction_id:
        raise BadRequestError("there are no transactions", hint="connect with autocommit")
    if command.table_definition_options.if_exists == _Options.TABLE_EXISTS_OPTION_REPLACE:
        raise BadRequestError("a data set cannot be replaced", hint="ingest with mode append or create_append")


def _taken(receipts: list[Receipt]) -> pb.DoPutUpdateResult:
    position = {one.log: one.lsn for one in receipts}  # They are in order.
    return pb.DoPutUpdateResult(record_count=sum(one.rows for one in receipts), position=position)


def _cut(batches: Iterator[pa.RecordBatch], count: int) -> Iterator[pa.RecordBatch]:
    """Batches of exactly so many rows but for the last: the same ones however the rows were sent."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        whole = combine([*held, batch])
        while whole.num_rows >= count:
            yield whole.slice(0, count)
            whole = whole.slice(count)
        held = [whole] if whole.num_rows else []
    yield from held
