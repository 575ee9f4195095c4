"""Parameters of queries on the wire."""

from datetime import date, datetime
from decimal import Decimal

from hub.errors import BadRequestError
from hub.rpc.v1 import query_pb2 as pb


def value_of(value: pb.Value) -> object:
    kind = value.WhichOneof("kind")
    return None if kind is None else getattr(value, kind)


def value_to_pb(value: object) -> pb.Value:
    """Days, times and decimals go as text. Raises BadRequestError for other kinds than those of a query."""
    match value:
        case None:
            return pb.Value()
        case bool():
            return pb.Value(flag=value)
        case int() if -(2**63) <= value < 2**63:
            return pb.Value(integer=value)
        case float():
            return pb.Value(real=value)
        case str():
            return pb.Value(text=value)
        case date() | datetime():
            return pb.Value(text=value.isoformat())
        case Decimal():
            return pb.Value(text=str(value))
    raise BadRequestError(f"{value!r} cannot be a parameter", hint="text, numbers, booleans, days and times can")
