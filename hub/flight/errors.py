"""Errors as Flight clients know them, and the way back.

pyarrow knows fewer codes than gRPC, and keeps details for some errors alone: what our own clients and tools may act
upon (our status with reason, hint and retry delay) is in `extra_info` where there is one; the others begin with the
reason, in brackets.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, NoReturn, TypeVar

import pyarrow as pa
import pyarrow.flight as fl

from hub.errors import (
    BadRequestError,
    HubError,
    LimitError,
    NotLeaderError,
    UnavailableError,
    UnknownDataSetError,
)
from hub.wire import error_of_bytes, error_of_reason, status_of

Result = TypeVar("Result")
_REASON: Final = re.compile(r"\[(?P<reason>[A-Z_]+)\] ")


def flight_errors(call: Callable[..., Result]) -> Callable[..., Result]:
    """Lets a handler raise HubError."""

    @wraps(call)
    def handler(*arguments: Any) -> Result:
        try:
            return call(*arguments)
        except HubError as error:
            raise_as_flight(error)

    return handler


def raise_as_flight(error: HubError) -> NoReturn:
    """Raises what a Flight client takes for this error."""
    details = status_of(error).SerializeToString()
    if isinstance(error, BadRequestError):
        kind = pa.ArrowKeyError if isinstance(error, UnknownDataSetError) else pa.ArrowInvalid
        raise kind(f"[{error.reason}] {error}") from None
    if isinstance(error, UnavailableError | LimitError | NotLeaderError):
        raise fl.FlightUnavailableError(str(error), details) from None
    raise fl.FlightInternalError(str(error), details) from None


def error_of_flight(error: Exception, target: str) -> HubError:
    """The error behind a failed Flight call: ours if it carries one."""
    if details := getattr(error, "extra_info", b""):
        return error_of_bytes(details)
    message = str(error).partition(". Detail:")[0].partition(". gRPC client debug context")[0]
    if found := _REASON.search(message):
        return error_of_reason(found["reason"], message[found.end() :])
    if isinstance(error, fl.FlightUnavailableError | fl.FlightTimedOutError | fl.FlightCancelledError | OSError):
        return UnavailableError(f"{target}: {message}", hint="is the centre running?", definite=False)
    return HubError(f"{target}: {message}")
