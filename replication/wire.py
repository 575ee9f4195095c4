"""Values ↔ protobuf messages that more than one service carries. Converts only: whoever receives judges."""

from replication.core.types import Configuration
from replication.rpc.v1 import replication_pb2 as pb


def configuration_to_pb(configuration: Configuration) -> pb.Configuration:
    return pb.Configuration(
        version=configuration.version,
        epoch=configuration.epoch,
        leader=configuration.leader,
        in_sync=sorted(configuration.in_sync),
    )


def configuration_from_pb(message: pb.Configuration) -> Configuration:
    return Configuration(
        version=message.version,
        epoch=message.epoch,
        leader=message.leader,
        in_sync=frozenset(message.in_sync),
    )
