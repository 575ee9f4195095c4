"""Goal: a configuration is read back as it was saved, or not at all. Method: save, damage every byte, crash."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import configuration_file
from replication.core.types import Configuration
from replication.errors import ConfigurationDamagedError

BOTH = frozenset({"ops", "ecc"})
SAMPLE = Configuration(version=7, epoch=3, leader="ops", in_sync=BOTH)
centres = st.frozensets(st.text(max_size=8), max_size=3)
configurations = st.builds(
    Configuration,
    version=st.integers(0, 2**63),
    epoch=st.integers(0, 2**63),
    leader=st.text(max_size=8),
    in_sync=centres,
)


@given(configuration=configurations, pending=st.none() | centres)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, configuration: Configuration, pending: frozenset[str] | None
) -> None:
    """Goal: what is saved is loaded. Method: any configuration, over the one of the example before."""
    path = tmp_path_factory.getbasetemp() / "round-trip.json"
    configuration_file.save(path, configuration, pending)
    assert configuration_file.load(path) == (configuration, pending)


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    """Goal: a centre that never ran has no configuration. Method: load from an empty folder."""
    assert configuration_file.load(tmp_path / "configuration.json") is None


def test_empty_pending_is_not_none(tmp_path: Path) -> None:
    """Goal: no pending set and an empty one differ. Method: save both."""
    path = tmp_path / "configuration.json"
    for pending in (None, frozenset[str]()):
        configuration_file.save(path, SAMPLE, pending)
        assert configuration_file.load(path) == (SAMPLE, pending)


def test_damage_never_gives_another_configuration(tmp_path: Path) -> None:
    """Goal: a damaged file is refused by name. Method: flip each bit, cut at each byte.

    White space carries nothing: a flip that turns it into other white space may load, as what was saved.
    """
    path = tmp_path / "configuration.json"
    configuration_file.save(path, SAMPLE, BOTH)
    good = path.read_bytes()
    damaged = [good[:size] for size in range(len(good) - 1)]
    for bit in range(len(good) * 8):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    refused = []
    for data in damaged:
        path.write_bytes(data)
        try:
            assert configuration_file.load(path) == (SAMPLE, BOTH)
        except ConfigurationDamagedError as error:
            refused.append(error)
    assert len(refused) > 0.95 * len(damaged)
    assert {error.file for error in refused} == {path}


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '{"checksum": 0}', "\xff"])
def test_other_content_is_refused(tmp_path: Path, text: str) -> None:
    """Goal: no content raises anything but the typed error. Method: files that are something else."""
    path = tmp_path / "configuration.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigurationDamagedError, match=r"configuration\.json"):
        configuration_file.load(path)


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_crash_while_saving_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Goal: the file is replaced as a whole, after it is durable. Method: fail before each step that makes it so."""
    path = tmp_path / "configuration.json"
    configuration_file.save(path, SAMPLE, None)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="Input/output error"):
            configuration_file.save(path, SAMPLE, BOTH)
    assert configuration_file.load(path) == (SAMPLE, None)
    assert list(tmp_path.iterdir()) == [path]
