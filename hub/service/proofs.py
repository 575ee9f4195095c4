"""Asks the peer for the lsn that a strong read must have applied here, of a log that the peer leads."""

import grpc

from hub.rpc.v1 import operations_pb2 as pb
from hub.rpc.v1 import operations_pb2_grpc as pb_grpc
from hub.wire import error_of_call


async def proved_lsn_of_peer(channel: grpc.aio.Channel, log: str, *, peer: str, timeout_s: float) -> int:
    """Raises HubError: NotLeaderError when the peer does not lead the log, UnavailableError when it cannot prove it."""
    stub = pb_grpc.OperationsServiceStub(channel)
    try:
        return int((await stub.ProvedLsn(pb.ProvedLsnRequest(log=log), timeout=timeout_s)).lsn)
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error, peer) from error
