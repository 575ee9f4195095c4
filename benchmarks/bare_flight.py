"""A Flight server without anything behind it: the batches of one Arrow file, from memory. What `bench_query` compares
with."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as fl


class _BareServer(fl.FlightServerBase):  # type: ignore[misc]  # pyarrow has no types
    def __init__(self, rows: pa.Table) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self._rows = rows

    def do_get(self, context: fl.ServerCallContext, ticket: fl.Ticket) -> fl.RecordBatchStream:
        return fl.RecordBatchStream(self._rows)


@contextmanager
def bare_flight(path: Path) -> Iterator[str]:
    """Serves the Arrow IPC file from a process of its own; gives its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(path, there), daemon=True)
    server.start()
    try:
        yield str(here.recv())
    finally:
        server.terminate()
        server.join()


def _serve(path: Path, there: Connection) -> None:
    with pa.ipc.open_file(path) as file:
        rows = file.read_all()
    server = _BareServer(rows)
    there.send(f"127.0.0.1:{server.port}")
    server.serve()
