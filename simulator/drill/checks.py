"""What a drill holds the two centres to afterwards. Each check returns sentences about what is wrong."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from hub.client import HubClient
from hub.config import CENTRES
from hub.ingest.exchange import Receipt
from simulator.drill.load import Outcome, SteadyLoad

_SHOWN: Final = 3


def acknowledged_once(client: HubClient, centre: str, producer: str, receipts: Sequence[Receipt]) -> list[str]:
    """Every acknowledged exchange of a producer stands in the centre's ledger once, at the lsn that was promised,
    and nothing stands there twice."""
    position: dict[str, int] = {}
    for receipt in receipts:
        position[receipt.log] = max(receipt.lsn, position.get(receipt.log, 0))
    sql = f"select log, sequence, lsn from exchanges where producer = '{producer}'"  # noqa: S608  # our own name
    table = client.query(sql, centre=centre, at_least=position).table()
    held = Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))
    promised = [(receipt.log, receipt.sequence, receipt.lsn) for receipt in receipts]
    lost = [key for key in promised if key not in held]
    doubled = [
        key for key, count in Counter((log, sequence) for log, sequence, _ in held.elements()).items() if count > 1
    ]
    problems = []
    if lost:
        problems.append(f"{centre} lost {len(lost)} acknowledged exchanges, such as {lost[:_SHOWN]}")
    if doubled:
        problems.append(f"{centre} holds {len(doubled)} exchanges twice, such as {doubled[:_SHOWN]}")
    return problems


def unknowns_resolved(
    client: HubClient, log: str, producer: str, unknown: Collection[int], refused: Collection[int] = ()
) -> list[str]:
    """Every sequence whose outcome was unknown stands once or not at all, one that was refused does not, and both
    centres hold the same, up to a mark that is made now."""
    lsn, _ = client.verify_log(log)
    sql = (
        f"select sequence, lsn from exchanges where producer = '{producer}' "  # noqa: S608  # our own names
        f"and log = '{log}' and lsn <= {lsn} order by sequence, lsn"
    )
    problems = []
    held: dict[str, list[tuple[int, int]]] = {}
    for centre in CENTRES:
        table = client.query(sql, centre=centre, at_least={log: lsn}).table()
        held[centre] = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        times = Counter(sequence for sequence, _ in held[centre])
        if doubled := [sequence for sequence in unknown if times[sequence] > 1]:
            problems.append(f"{centre} holds {len(doubled)} unknown exchanges twice, such as {doubled[:_SHOWN]}")
        if written := [sequence for sequence in refused if times[sequence]]:
            problems.append(f"{centre} holds {len(written)} refused exchanges, such as {written[:_SHOWN]}")
    left, right = (set(held[centre]) for centre in CENTRES)
    if different := sorted(left ^ right):
        problems.append(f"{producer}: {len(different)} exchanges stand at one centre, such as {different[:_SHOWN]}")
    return problems


def accounted_for(client: HubClient, load: SteadyLoad) -> list[str]:
    """Every exchange of a load that has ended has an outcome, and both ledgers agree with it."""
    problems = [
        problem
        for centre in CENTRES
        for problem in acknowledged_once(client, centre, load.producer, load.acknowledged_receipts())
    ]
    if under_way := [one.sequence for one in load.exchanges if one.outcome is None]:
        problems.append(f"{load.producer}: {len(under_way)} exchanges have no outcome, such as {under_way[:_SHOWN]}")
    unknown, refused = load.sequences(Outcome.UNKNOWN), load.sequences(Outcome.REFUSED)
    return problems + unknowns_resolved(client, load.log, load.producer, unknown, refused)


def same_answer(client: HubClient, sql: str, position: dict[str, int]) -> tuple[list[str], list[dict[str, object]]]:
    """Both centres answer alike once they have reached a position; the answer is given back."""
    answers = {centre: client.query(sql, centre=centre, at_least=position).table().to_pylist() for centre in CENTRES}
    first = answers[CENTRES[0]]
    different = [
        f"{centre} answers {rows} and {CENTRES[0]} {first}" for centre, rows in answers.items() if rows != first
    ]
    return different, first


def equal_digests(client: HubClient) -> list[str]:
    """Every data set is equal at both centres, each log at one marked position."""
    problems = []
    for log in CENTRES:
        lsn, digests = client.verify_log(log)
        left, right = (digests[centre] for centre in CENTRES)
        problems += [
            f"{one.data_set} differs at {log} {lsn}: {one.rows} rows {one.digest}, {other.rows} rows {other.digest}"
            for one, other in zip(left, right, strict=True)
            if one != other
        ]
    return problems
