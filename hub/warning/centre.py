"""The port of early warning at a real pair: reads at one centre, by default the standby of the readings, writes to
whoever leads the alerts. No answer is older than one before it, or than what was acknowledged when it was made."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from hub.client import HubClient
from hub.client.standby import standby_of
from hub.errors import NotLeaderError, UnavailableError
from hub.ingest.exchange import Receipt
from hub.position import raise_to
from hub.warning.detector import Detector
from hub.warning.hub_port import Answer, Sending
from hub.warning.records import DATA_SET
from hub.warning.rules import Rules
from hub.warning.run import Outcome, Progress, run_pass, time_of_pass

Result = TypeVar("Result")
_CLASS: Final = "analysis"
_AT_ONCE: Final = 8
_POLL_S: Final = 0.2
_FAILOVER_S_MAX: Final = 20.0


class CentreHub:
    """`patience_s` is how long a write waits for a leader. Raises HubError when no centre answers."""

    def __init__(self, client: HubClient, *, centre: str | None = None, patience_s: float = 30.0) -> None:
        self._client = client
        self._patience_s = patience_s
        contracts = client.contracts()
        self._log = contracts[DATA_SET].home
        self.contract = contracts[DATA_SET]
        self.centre = centre or standby_of(client, contracts["readings"].home)
        self.position: dict[str, int] = {}
        raise_to(self.position, client.query("select 1", centre=self.centre, strong=True).position)

    def ask(self, sql: str, parameters: Mapping[str, object]) -> Answer:
        answer = self._client.query(sql, parameters, centre=self.centre, at_least=self.position, query_class=_CLASS)
        raise_to(self.position, answer.position)
        return Answer(position=answer.position, batches=iter(answer.reader))

    def send(self, sendings: Sequence[Sending]) -> list[Receipt]:
        receipts: list[Receipt] = []
        for begin in range(0, len(sendings), _AT_ONCE):
            receipts += self._send(sendings[begin : begin + _AT_ONCE])
        for receipt in receipts:
            raise_to(self.position, {receipt.log: receipt.lsn})
        return receipts

    def _send(self, sendings: Sequence[Sending]) -> list[Receipt]:
        with ExitStack() as stack:
            outcomes = []
            for one in sendings:
                made = self._client.producer(one.producer, log=self._log, patience_s=self._patience_s)
                producer = stack.enter_context(made)
                outcomes.append(producer.send(DATA_SET, one.rows, sequence=one.sequence))
            return [outcome.result() for outcome in outcomes]


def pass_at_pair(
    client: HubClient,
    rules: Rules,
    looking: Sequence[Detector],
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    centre: str | None = None,
    dry_run: bool = False,
    progress: Progress = lambda cause, until: None,
) -> Outcome:
    """One pass, by default from the last one to `now`; made again where a centre went away meanwhile. Moments are naive
    UTC. Raises HubError."""

    def work(hub: CentreHub) -> Outcome:
        begins, ends = time_of_pass(hub, rules, now=now, since=since, until=until)
        return run_pass(
            hub,
            hub.contract,
            rules,
            looking,
            since=begins,
            until=ends,
            dry_run=dry_run,
            remember=ends <= now,
            progress=progress,
        )

    return at_pair(client, work, centre=centre)


def at_pair(client: HubClient, work: Callable[[CentreHub], Result], *, centre: str | None = None) -> Result:
    """What `work` returns; it begins again, with what is acknowledged by then, where a centre went away meanwhile or a
    failover goes on: whatever it sends must count once. Raises HubError."""
    for attempt in Retrying(
        wait=wait_fixed(_POLL_S),
        stop=stop_after_delay(_FAILOVER_S_MAX),
        retry=retry_if_exception_type((UnavailableError, NotLeaderError)),
        reraise=True,
    ):
        with attempt:
            return work(CentreHub(client, centre=centre))
    raise AssertionError("the last attempt returns or raises")
