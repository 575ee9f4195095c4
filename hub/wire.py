"""Errors on the wire: one table from our errors to gRPC status, and the way back.

Every status carries a google.rpc.ErrorInfo of domain `cityhub`: its reason names the error class, its metadata
says whether the effect is definite, what to do next, and for NOT_LEADER which centre to ask.
"""

from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from hub import errors
from hub.errors import HubError, NotLeaderError, UnavailableError

DOMAIN: Final = "cityhub"
_RETRY_MS: Final = 200
# Of a call without a status of ours: gRPC's core says INTERNAL, too, when a connection dies under a write.
_CONNECTION_LOST: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
)

_CODES: Final[dict[type[HubError], grpc.StatusCode]] = {
    errors.UnknownDataSetError: grpc.StatusCode.NOT_FOUND,
    errors.ContractError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.BadRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.LimitError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotLeaderError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.HubError: grpc.StatusCode.INTERNAL,
}


def _all_kinds(kind: type[HubError]) -> list[type[HubError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in _all_kinds(child))]


_BY_REASON: Final = {kind.reason: kind for kind in _all_kinds(HubError)}


def status_of(error: HubError) -> Status:
    """The status that carries an error."""
    code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    facts = {"definite": str(error.definite).lower(), "hint": error.hint}
    details = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)]
    if isinstance(error, NotLeaderError):
        details[0].metadata.update(leader=error.leader, address=error.address)
    packed = [_pack(detail) for detail in details]
    if isinstance(error, UnavailableError):
        packed.append(_pack(RetryInfo(retry_delay=Duration(nanos=_RETRY_MS * 1_000_000))))
    return Status(code=code.value[0], message=error.message, details=packed)


def error_of(status: Status) -> HubError:
    """The error that a status carries; a status from elsewhere becomes a plain one."""
    info = ErrorInfo()
    found = any(detail.Unpack(info) for detail in status.details if detail.Is(ErrorInfo.DESCRIPTOR))
    if not found or info.domain != DOMAIN:
        return HubError(status.message or "unknown error")
    facts = dict(info.metadata)
    hint, definite = facts.get("hint", ""), facts.get("definite") == "true"
    kind = _BY_REASON.get(info.reason, HubError)
    if kind is NotLeaderError:
        leader, address = facts.get("leader", ""), facts.get("address", "")
        return NotLeaderError(status.message, leader=leader, address=address, hint=hint, definite=definite)
    if kind is UnavailableError:
        return UnavailableError(status.message, hint=hint, definite=definite)
    return kind(status.message, hint=hint)


def error_of_reason(reason: str, message: str) -> HubError:
    """Of an error that travelled as words; an unknown reason makes a plain one. Only for errors that need no more."""
    return _BY_REASON.get(reason, HubError)(message)


def error_of_bytes(status: bytes) -> HubError:
    return error_of(Status.FromString(status))


def error_of_call(error: grpc.RpcError, target: str) -> HubError:
    """The error behind a failed call: ours if it carries one, else what gRPC says about the connection."""
    status = rpc_status.from_call(error)
    if status is not None:
        return error_of(status)
    code, message = error.code(), (error.details() or "").partition("\n")[0]
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return errors.LimitError(message, hint="send less at once")
    if code in _CONNECTION_LOST:
        if message.startswith("failed to connect"):
            message = f"cannot be reached: {message.rpartition(': ')[2].lower()}"
        return UnavailableError(f"{target}: {message or code}", hint="is the centre running?", definite=False)
    return HubError(f"{target}: {code}: {message}")


def _pack(message: "ErrorInfo | RetryInfo") -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
