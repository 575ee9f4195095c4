"""Errors on the wire.

Goal: what the hub says of an error arrives at the client whole; what others say is not taken for more than it is.
Method: every error class goes through its status and back, as bytes; statuses and failed calls by hand.
"""

from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from hub import errors
from hub.errors import HubError, LimitError, NotLeaderError, OverloadedError, UnavailableError
from hub.wire import DOMAIN, error_of, error_of_call, status_of

CODES: dict[type[HubError], grpc.StatusCode] = {
    errors.HubError: grpc.StatusCode.INTERNAL,
    errors.BadRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContractError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnknownDataSetError: grpc.StatusCode.NOT_FOUND,
    errors.ExchangeError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.QueryError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InputFileError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.LimitError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotLeaderError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.StoreDamagedError: grpc.StatusCode.INTERNAL,
    errors.ConfigurationError: grpc.StatusCode.INTERNAL,
}
KINDS = sorted(CODES, key=lambda kind: kind.__name__)


class FailedCall(grpc.RpcError):
    """A call that ended with a code, and with a status of the hub or without one."""

    def __init__(self, code: grpc.StatusCode, details: str | None, status: Status | None = None) -> None:
        super().__init__()
        self._code = code
        self._details = details
        self._trailing = rpc_status.to_status(status).trailing_metadata if status is not None else ()

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailing


def sent(error: HubError) -> HubError:
    return error_of(Status.FromString(status_of(error).SerializeToString()))


def facts(error: HubError) -> dict[str, object]:
    return vars(error) | {"definite": error.definite}


def every_kind(kind: type[HubError]) -> set[type[HubError]]:
    return {kind}.union(*(every_kind(child) for child in kind.__subclasses__()))


def example(kind: type[HubError], message: str, hint: str) -> HubError:
    if kind is NotLeaderError:
        return NotLeaderError(message, leader="ecc", address="127.0.0.1:7420", hint=hint)
    if kind is OverloadedError:
        return OverloadedError(message, retry_s=2.5, hint=hint)
    return kind(message, hint=hint)


def test_the_table_knows_every_error() -> None:
    assert every_kind(HubError) == set(CODES)
    assert len({kind.reason for kind in CODES}) == len(CODES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("message", "hint"), [("读数超限 100 %", "分次提交\nthen again"), ("", "")])
def test_every_error_arrives_whole(kind: type[HubError], message: str, hint: str) -> None:
    """Method: Chinese letters and line ends, and nothing at all."""
    error = example(kind, message, hint)
    found = sent(error)
    assert type(found) is kind
    assert facts(found) == facts(error)
    assert str(found) == str(error)
    assert status_of(error).code == CODES[kind].value[0]


@pytest.mark.parametrize("definite", [True, False])
def test_an_unknown_effect_stays_unknown(definite: bool) -> None:
    """Goal: a client sends again what may have been written. Method: both errors that leave it open."""
    assert sent(UnavailableError("the peer is away", definite=definite)).definite is definite
    assert sent(NotLeaderError("no longer", leader="ecc", address="a:1", definite=definite)).definite is definite


def test_who_is_to_try_again_is_told_when() -> None:
    status = status_of(UnavailableError("the peer is away"))
    retry = RetryInfo()
    assert [detail.Unpack(retry) for detail in status.details] == [False, True]
    assert 0 < retry.retry_delay.nanos < 1e9


def packed(message: Any) -> Packed:
    found = Packed()
    found.Pack(message)
    return found


@pytest.mark.parametrize(
    "details",
    [
        [],
        [BadRequest()],
        [RetryInfo()],
        [ErrorInfo(reason="SOMETHING_NEW", domain=DOMAIN)],
        [ErrorInfo()],
        [ErrorInfo(reason="UNAVAILABLE", domain="another.example")],
    ],
    ids=["nothing", "other", "retry", "newer release", "empty", "another domain"],
)
def test_a_status_from_elsewhere_is_a_plain_error(details: list[Any]) -> None:
    """Method: no details, others than the hub's, and a reason that this release does not know."""
    found = error_of(Status(code=5, message="who?", details=[packed(detail) for detail in details]))
    assert type(found) is HubError
    assert found.message == "who?"
    assert found.hint == ""


def test_a_status_that_says_nothing_has_a_message() -> None:
    assert error_of(Status()).message == "unknown error"


def test_ours_is_found_among_other_details() -> None:
    status = status_of(LimitError("too much", hint="less"))
    status.details.insert(0, packed(BadRequest()))
    found = error_of(status)
    assert type(found) is LimitError
    assert found.hint == "less"


def test_missing_facts_leave_an_error_that_can_be_used() -> None:
    """Goal: a peer of another release does not break the client; what is not known to be definite is not."""
    for reason, kind in (("NOT_LEADER", NotLeaderError), ("UNAVAILABLE", UnavailableError)):
        found = error_of(Status(message="m", details=[packed(ErrorInfo(reason=reason, domain=DOMAIN))]))
        assert type(found) is kind
        assert getattr(found, "leader", "") == getattr(found, "address", "") == found.hint == ""
    assert not found.definite


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_call_carries_our_error(kind: type[HubError]) -> None:
    error = example(kind, "message", "hint")
    status = status_of(error)
    found = error_of_call(FailedCall(CODES[kind], status.message, status), "ops")
    assert type(found) is kind
    assert facts(found) == facts(error)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL"])
@pytest.mark.parametrize("details", ["connection refused\nand much more", "", None])
def test_a_lost_connection_leaves_the_effect_unknown(code: str, details: str | None) -> None:
    """Method: what gRPC itself says of a connection that is not there, or ends; one line of it is told."""
    found = error_of_call(FailedCall(grpc.StatusCode[code], details), "ops")
    assert type(found) is UnavailableError
    assert not found.definite
    assert found.message == ("ops: connection refused" if details else f"ops: StatusCode.{code}")
    assert found.hint == "is the centre running?"


def test_other_failures_of_grpc_are_told() -> None:
    """Method: a message that is too large, and a method that is not there."""
    large = error_of_call(FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max\nmore"), "ops")
    assert type(large) is LimitError
    assert large.message == "larger than max"
    other = error_of_call(FailedCall(grpc.StatusCode.UNIMPLEMENTED, "no such method"), "ops")
    assert type(other) is HubError
    assert "ops" in other.message
    assert "no such method" in other.message
