"""Which centre to read at, so that analysis does not disturb ingest."""

from hub.client.blocking import HubClient
from hub.errors import UnavailableError
from hub.status import CentreStatus


def standby_of(client: HubClient, log: str) -> str:
    """The centre that does not lead a log, as both tell, or the one that is left. Raises UnavailableError."""
    roles = {
        name: one.role
        for name, found in client.statuses().items()
        if isinstance(found, CentreStatus)
        for one in found.logs
        if one.log == log
    }
    if not roles:
        raise UnavailableError("no centre answers", hint="`cityhub status` tells more")
    return next((name for name, role in roles.items() if role == "standby"), next(iter(roles)))
