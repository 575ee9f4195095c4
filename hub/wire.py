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
from hub.errors import HubError, NotLeaderError, OverloadedError, UnavailableError

DOMAIN: Final = "cityhub"
_RETRY_S: Final = 0.2
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
    if isinstance(error, UnavailableError | OverloadedError):
        packed.append(_pack(_retry_info(error.retry_s if isinstance(error, OverloadedError) else _RETRY_S)))
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
    if kind is OverloadedError:
        return OverloadedError(status.message, retry_s=_retry_s(status), hint=hint)
    return kind(status.message, hint=hint)


def _retry_info(seconds: float) -> RetryInfo:
    delay = Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return RetryInfo(retry_delay=delay)


def _retry_s(status: Status) -> float:
    info = RetryInfo()
    found = any(detail.Unpack(info) for detail in status.details if detail.Is(RetryInfo.DESCRIPTOR))
    return info.retry_delay.ToNanoseconds() / 1e9 if found else _RETRY_S


def error_of_reason(reason: str, message: str) -> HubError:
    """Of an error that travelled as words; an unknown reason makes a plain one. Only for errors that need no more."""
    kind = _BY_REASON.get(reason, HubError)
    return OverloadedError(message, retry_s=_RETRY_S) if kind is OverloadedError else kind(message)


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
