"""Actions of Flight and Flight SQL: prepared statements, sessions, cancel."""

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as fl
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError

from hub.errors import BadRequestError
from hub.flight.answers import Callers
from hub.flight.sessions import Call, Sessions, options_of, set_option
from hub.flight.statements import PreparedStatements, parameter_schema
from hub.query.desk import QueryDesk
from hub.rpc.v1 import flight_pb2
from hub.rpc.v1 import flight_sql_pb2 as pb

ACTIONS: Final = {
    "CreatePreparedStatement": "Prepares a statement: its handle, and the schemas of answer and parameters.",
    "ClosePreparedStatement": "Forgets a prepared statement.",
    "CancelFlightInfo": "Ends the query of a FlightInfo.",
    "SetSessionOptions": "Sets options of the session: cityhub-class, cityhub-read, cityhub-at-least.",
    "GetSessionOptions": "The options of the session.",
    "CloseSession": "Forgets the session.",
}
_NO_TRANSACTIONS: Final = ("BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint")
_Errors: Final = flight_pb2.SetSessionOptionsResult
_FAULTS: Final = {"name": _Errors.INVALID_NAME, "value": _Errors.INVALID_VALUE}


class Actions:
    def __init__(self, desk: QueryDesk, prepared: PreparedStatements, sessions: Sessions, callers: Callers) -> None:
        self._desk = desk
        self._prepared = prepared
        self._sessions = sessions
        self._callers = callers

    def run(self, kind: str, body: bytes, call: Call) -> list[bytes]:
        """The results. Raises HubError."""
        works: dict[str, Callable[[bytes, Call], list[bytes]]] = {
            "CreatePreparedStatement": self._create,
            "ClosePreparedStatement": self._close,
            "CancelFlightInfo": self._cancel,
            "SetSessionOptions": self._set_options,
            "GetSessionOptions": self._get_options,
            "CloseSession": self._close_session,
        }
        if kind in _NO_TRANSACTIONS:
            raise BadRequestError("there are no transactions", hint="connect with autocommit")
        if kind not in works:
            raise BadRequestError(f"the action {kind!r} is not known here", hint=f"one of {', '.join(works)}")
        try:
            return works[kind](body, call)
        except DecodeError:
            raise BadRequestError(f"the body of {kind} cannot be read") from None

    def _create(self, body: bytes, call: Call) -> list[bytes]:
        request = _unpacked(body, pb.ActionCreatePreparedStatementRequest())
        schema, statement = self._desk.describe(request.query)
        result = Packed()
        result.Pack(
            pb.ActionCreatePreparedStatementResult(
                prepared_statement_handle=self._prepared.add(request.query, statement),
                dataset_schema=schema.serialize().to_pybytes(),
                parameter_schema=parameter_schema(statement).serialize().to_pybytes(),
                is_update=False,
            )
        )
        return [result.SerializeToString()]

    def _close(self, body: bytes, call: Call) -> list[bytes]:
        request = _unpacked(body, pb.ActionClosePreparedStatementRequest())
        self._prepared.remove(request.prepared_statement_handle)
        return []

    def _cancel(self, body: bytes, call: Call) -> list[bytes]:
        request = flight_pb2.CancelFlightInfoRequest.FromString(body)
        try:
            endpoints = fl.FlightInfo.deserialize(request.info).endpoints
        except (pa.ArrowException, ValueError) as error:
            raise BadRequestError(f"the FlightInfo cannot be read: {error}") from error
        cancelled = [self._callers.cancel(one.ticket.ticket) for one in endpoints]
        status = flight_pb2.CANCEL_STATUS_CANCELLED if any(cancelled) else flight_pb2.CANCEL_STATUS_NOT_CANCELLABLE
        return [flight_pb2.CancelFlightInfoResult(status=status).SerializeToString()]

    def _set_options(self, body: bytes, call: Call) -> list[bytes]:
        result = flight_pb2.SetSessionOptionsResult()
        session = call.began()
        for name, value in flight_pb2.SetSessionOptionsRequest.FromString(body).session_options.items():
            kind = value.WhichOneof("option_value")
            fault = "value" if kind not in (None, "string_value") else set_option(session, name, value.string_value)
            if fault:
                result.errors[name].value = _FAULTS[fault]
        return [result.SerializeToString()]

    def _get_options(self, body: bytes, call: Call) -> list[bytes]:
        result = flight_pb2.GetSessionOptionsResult()
        for name, value in options_of(call.session).items():
            result.session_options[name].string_value = value
        return [result.SerializeToString()]

    def _close_session(self, body: bytes, call: Call) -> list[bytes]:
        self._sessions.end(call.session_name)
        result = flight_pb2.CloseSessionResult(status=flight_pb2.CloseSessionResult.CLOSED)
        return [result.SerializeToString()]


def _unpacked(body: bytes, message: Any) -> Any:
    """Raises BadRequestError."""
    if not Packed.FromString(body).Unpack(message):
        raise BadRequestError(f"expected {message.DESCRIPTOR.name}")
    return message
