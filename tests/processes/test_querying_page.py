"""Goal: what QUERYING.md shows works as it is written.

Method: each block is taken from the page; its default ports become those of a real city; Python runs in a process of
its own, commands in the command line's runner, calls of grpcurl through the centre's own reflection.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from conftest import start_with_catalogue, until
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from typer.testing import CliRunner

from hub.cli.app import app
from simulator.city.readings import readings, sensors
from simulator.drill.processes import CityProcesses

PAGE = Path(__file__).parents[2] / "QUERYING.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcesses]:
    with CityProcesses(tmp_path_factory.mktemp("city")) as processes:
        start_with_catalogue(processes)
        some = sensors(500, 1)
        with processes.client() as client:
            until(lambda: "alerts" in client.contracts(centre="ecc"))
            with client.producer() as producer:
                producer.send("sensors", some)
                producer.send("readings", next(readings(1000, 1, sensors=some, batch_rows=1000)))
        yield processes


def placed(city: CityProcesses, text: str) -> str:
    for centre, ports in (("ops", ("7410", "7411")), ("ecc", ("7420", "7421"))):
        at = city.city.centres[centre]
        for port, address in zip(ports, (at.grpc, at.flight), strict=True):
            text = text.replace(f"localhost:{port}", address)
    return text


@pytest.mark.parametrize("text", blocks("python"), ids=lambda text: text.split("\n", 1)[0])
def test_python(city: CityProcesses, text: str) -> None:
    command = [sys.executable, "-c", placed(city, text)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=PAGE.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("line", "".join(blocks("sh")).splitlines())
def test_commands(city: CityProcesses, line: str) -> None:
    _, *arguments = shlex.split(line)
    result = CliRunner().invoke(app, [*arguments, "--city", str(city.path)])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()


def called(city: CityProcesses, line: str) -> Any:
    """The first reply of a call, by nothing but the centre's reflection."""
    _, *arguments = shlex.split(placed(city, line))
    data = arguments[arguments.index("-d") + 1] if "-d" in arguments else "{}"
    address, (service, method) = arguments[-2], arguments[-1].split("/")
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        found = pool.FindServiceByName(service).FindMethodByName(method)
        request = json_format.Parse(data, GetMessageClass(found.input_type)())
        reply_class = GetMessageClass(found.output_type)
        name = f"/{service}/{method}"
        options = {
            "request_serializer": lambda one: one.SerializeToString(),
            "response_deserializer": reply_class.FromString,
        }
        if found.server_streaming:
            stream = channel.unary_stream(name, **options)(request, timeout=20)
            reply = next(stream)
            stream.cancel()
            return reply
        return channel.unary_unary(name, **options)(request, timeout=20)


@pytest.mark.parametrize("line", "".join(blocks("grpcurl")).splitlines())
def test_calls_by_reflection(city: CityProcesses, line: str) -> None:
    reply = called(city, line)
    assert json.loads(json_format.MessageToJson(reply))
    if "count(*)" in line:
        assert pa.ipc.open_stream(reply.ipc).read_next_batch().column(0).to_pylist() == [500]


def test_the_page_has_what_it_promises() -> None:
    assert len(blocks("python")) >= 6
    assert "".join(blocks("grpcurl")).count("grpcurl") == 5
