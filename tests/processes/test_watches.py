"""Goal: whoever watches alerts or the catalogue misses nothing and gets nothing twice, whatever centre dies meanwhile.

Method: real processes; streams from the beginning, from now and from a position; a kill -9 of the centre that streams.
"""

import threading
import time

import pyarrow as pa
from conftest import until

from hub.catalogue.contract import Contract
from hub.client import HubClient
from simulator.drill.processes import CityProcesses

CENTRES = ("ops", "ecc")


def alert(number: int, level: str = "red") -> dict[str, object]:
    return {
        "alert_id": f"a{number:04}",
        "state": "sent",
        "at": 1_780_000_000_000 + number,
        "level": level,
        "category": "rainstorm",
        "summary": f"number {number}",
    }


def send(client: HubClient, rows: list[dict[str, object]]) -> dict[str, int]:
    contract = client.contract("alerts")
    full = [{column.name: row.get(column.name) for column in contract.columns} for row in rows]
    with client.producer(log="ecc") as producer:
        receipt = producer.send("alerts", pa.RecordBatch.from_pylist(full, schema=contract.schema)).result(60)
    return {"ecc": receipt.lsn}


class Watcher:
    """Collects in a thread of its own until stopped."""

    def __init__(self, city: CityProcesses, after: dict[str, int] | None, centre: str) -> None:
        self.seen: list[str] = []
        self.position: dict[str, int] | None = None
        self._client = city.client()
        self._stream = self._client.watch_alerts(after, centre=centre)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        for alerts, position in self._stream:
            self.seen += [one.alert_id for one in alerts]
            self.position = position


def test_alerts_from_the_beginning_from_now_and_from_a_position(city: CityProcesses, client: HubClient) -> None:
    """Method: at both centres; one stream begins before anything was sent, one in the middle, one after all."""
    until(lambda: all("alerts" in client.contracts(centre=one) for one in CENTRES))
    early = [Watcher(city, {}, centre) for centre in CENTRES]
    send(client, [alert(0), alert(1)])
    position = send(client, [alert(2, "blue")])
    for centre in CENTRES:
        client.query("select 1", centre=centre, at_least=position).table()
    now = [Watcher(city, None, centre) for centre in CENTRES]
    until(lambda: all(one.position is not None and one.position["ecc"] >= position["ecc"] for one in [*now, *early]))
    send(client, [alert(3)])
    late = [Watcher(city, position, centre) for centre in CENTRES]
    until(lambda: all(one.seen == ["a0000", "a0001", "a0002", "a0003"] for one in early))
    until(lambda: all(one.seen == ["a0003"] for one in [*now, *late]))


def test_a_large_exchange_of_alerts_comes_whole(city: CityProcesses, client: HubClient) -> None:
    """Method: one exchange of more alerts than are read at a time, and small ones around it."""
    until(lambda: all("alerts" in client.contracts(centre=one) for one in CENTRES))
    position = send(client, [alert(5000)])
    client.query("select 1", centre="ecc", at_least=position).table()
    watcher = Watcher(city, None, "ecc")
    until(lambda: watcher.position is not None)
    numbers = range(10_000, 35_000)
    for part in ([9_999], numbers, [40_000]):
        send(client, [alert(number) for number in part])
    expected = [f"a{number:04}" for number in (9_999, *numbers, 40_000)]
    until(lambda: watcher.seen == expected)


def test_the_catalogue_is_watched(city: CityProcesses, client: HubClient) -> None:
    """Method: from the beginning all built-in contracts come, then a new one, and its second version."""
    stream = client.watch_contracts({}, centre="ecc")
    names: list[str] = []
    while "readings" not in names:
        contracts, _ = next(stream)
        names += [one.name for one in contracts]
    assert len(set(names)) == len(names)
    title = {"zh": "井盖", "en": "Manhole covers"}
    facts = {
        "name": "covers",
        "agency": "water",
        "home": "ops",
        "kind": "event",
        "title": title,
        "columns": [{"name": "cover_id", "type": "int32", "title": title}],
    }
    client.apply_contract(Contract.model_validate(facts))
    client.apply_contract(Contract.model_validate({**facts, "version": 2, "description": "Lids."}))
    found: list[tuple[str, int]] = []
    while ("covers", 2) not in found:
        contracts, _ = next(stream)
        found += [(one.name, one.version) for one in contracts]
    assert [one for one in found if one[0] == "covers"] == [("covers", 1), ("covers", 2)]


def test_nothing_is_missed_over_a_failover(own_city: CityProcesses) -> None:
    """Method: alerts are sent without end; the centre that streams and leads their log is killed, and comes back."""
    with own_city.client() as client:
        until(lambda: all("alerts" in client.contracts(centre=one) for one in CENTRES))
        watchers = [Watcher(own_city, {}, centre) for centre in CENTRES]
        sent: list[str] = []
        for number in range(60):
            if number == 20:
                own_city.kill("ecc")
            if number == 40:
                own_city.start("ecc")
            send(client, [alert(number)])
            sent.append(f"a{number:04}")
            time.sleep(0.02)
        until(lambda: all(one.seen == sent for one in watchers))
