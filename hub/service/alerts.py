"""AlertService: alerts as they come."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import grpc

from hub.errors import HubError
from hub.rpc.v1 import alert_pb2 as pb
from hub.rpc.v1 import alert_pb2_grpc as pb_grpc
from hub.rpc.v1.position_pb2 import Position
from hub.service.aborting import abort
from hub.watch import Watches

_DATA_SET: Final = "alerts"
_TEXTS: Final = ("alert_id", "state", "level", "category", "district", "summary", "evidence", "by")


class AlertServicer(pb_grpc.AlertServiceServicer):
    def __init__(self, watches: Watches) -> None:
        self._watches = watches

    async def Watch(  # noqa: N802  # the schema's name
        self, request: pb.WatchAlertsRequest, context: "grpc.aio.ServicerContext[pb.WatchAlertsRequest, pb.AlertsReply]"
    ) -> AsyncIterator[pb.AlertsReply]:
        after = dict(request.after.applied) if request.HasField("after") else None
        levels = set(request.levels)
        try:
            async for news in self._watches.rows(_DATA_SET, after):
                alerts = [_alert(row) for row in news.rows if not levels or row["level"] in levels]
                yield pb.AlertsReply(alerts=alerts, position=Position(applied=news.position))
        except HubError as error:
            await abort(context, error)


def _alert(row: dict[str, Any]) -> pb.Alert:
    at: datetime = row["at"]
    return pb.Alert(
        **{name: row[name] or "" for name in _TEXTS},
        at_unix_ms=int(at.replace(tzinfo=UTC).timestamp() * 1000),
        lon=row["lon"] or 0.0,
        lat=row["lat"] or 0.0,
        lsn=row["lsn"],
    )
