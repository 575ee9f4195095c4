"""The inbox without centres: which files are taken, when, what they are, and where they go."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalogue.load import builtin_contracts
from hub.errors import ConfigurationError, HubError, InputFileError, LimitError, UnavailableError, UnknownDataSetError
from hub.inbox import folders
from hub.inbox.assign import Assignment, assign, data_set_of
from hub.inbox.folders import free_place
from hub.inbox.rounds import Inbox
from hub.inbox.settle import Look, settled, watched
from hub.ingest.mapping import Mapping

CONTRACTS = builtin_contracts()
MAPPING = 'match = "读数*.csv"\ndata_set = "readings"\n'


class Killed(BaseException):
    """Stands for kill -9: nothing of ours runs after it."""


@dataclass(slots=True)
class Centre:
    """Takes whole files by their content, as the hub does by (producer, sequence)."""

    taken: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    error: Exception | None = None
    while_loading: Callable[[], None] = lambda: None

    def load(self, path: Path, assignment: Assignment, unchanged: Callable[[], None]) -> dict[str, Any]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        self.while_loading()
        unchanged()
        content = path.read_text(encoding="utf-8")
        self.taken[content] = self.taken.get(content, 0) or 1
        return {"rows": 1, "producer": content}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def box(root: Path, centre: Centre, clock: Clock | None = None, settle_s: float = 0.0) -> Inbox:
    return Inbox(root=root, settle_s=settle_s, contracts=lambda: CONTRACTS, load=centre.load, clock=clock or Clock())


def put(root: Path, name: str, content: str = "x", agency: str = "environment") -> Path:
    path = root / agency / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_files_go_by_name_and_are_moved_with_their_report(tmp_path: Path) -> None:
    """Goal: each file is loaded once and lies in one place, its report beside it. Method: names of all forms, a second
    file of the same name, a second round."""
    for name in ("readings.csv", "readings_2017-04.csv.gz", "SENSORS_x.xlsx"):
        put(tmp_path, name, content=name)
    centre = Centre()
    inbox = box(tmp_path, centre)
    reports = {report["file"]: report for report in inbox.round()}
    assert {name: one["data_set"] for name, one in reports.items()} == {
        "readings.csv": "readings", "readings_2017-04.csv.gz": "readings", "SENSORS_x.xlsx": "sensors"}  # fmt: skip
    assert list(inbox.round()) == []
    put(tmp_path, "readings_2017-04.csv.gz", content="more")
    (again,) = inbox.round()
    assert again["moved_to"] == "done/readings_2017-04-2.csv.gz"
    assert centre.calls == 4
    assert tree(tmp_path) == {
        f"environment/done/{name}{suffix}"
        for name in ("readings.csv", "readings_2017-04.csv.gz", "readings_2017-04-2.csv.gz", "SENSORS_x.xlsx")
        for suffix in ("", ".report.json")
    }
    kept = json.loads((tmp_path / "environment/done/readings_2017-04-2.csv.gz.report.json").read_text(encoding="utf-8"))
    assert kept == again


def test_a_file_is_taken_when_it_no_longer_changes(tmp_path: Path) -> None:
    """Goal: a file that is being written is left alone, in whatever way its writer works. Method: a clock of our own;
    growing, touching, and putting another file of the same size and time in its place."""
    clock, centre = Clock(), Centre()
    inbox = box(tmp_path, centre, clock, settle_s=5)

    def at(now_s: float) -> int:
        clock.now_s = now_s
        return len(list(inbox.round()))

    path = put(tmp_path, "readings.csv")
    assert at(0) == at(4) == 0
    path.write_text("xy", encoding="utf-8")
    assert at(6) == at(10) == 0
    os.utime(path, ns=(1, 1))
    assert at(12) == at(16) == 0
    other = put(tmp_path, "readings.csv.part", content="ab")
    os.utime(other, ns=(1, 1))
    other.replace(path)
    assert at(18) == at(22) == 0
    assert at(23) == 1
    assert centre.taken == {"ab": 1}


def test_what_is_left_alone_and_what_is_refused(tmp_path: Path) -> None:
    """Goal: files under way are not touched, links lead nowhere. Method: hidden, .part, .tmp, folders; links to files
    within and without, and a folder of an agency that is a link."""
    alone = {
        put(tmp_path, name) for name in (".readings.csv", "readings.csv.part", "readings.csv.TMP", "a.report.json")
    }
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    secret = outside / "readings_secret.csv"
    secret.write_text("secret", encoding="utf-8")
    (tmp_path / "environment" / "readings_link.csv").symlink_to(secret)
    (tmp_path / "environment" / "readings_inner.csv").symlink_to("readings.csv.part")
    (tmp_path / "meteorology").symlink_to(outside)
    (tmp_path / "environment" / "folder.csv").mkdir()
    centre = Centre()
    reports = list(box(tmp_path, centre).round())
    assert centre.calls == 0
    assert [(one["file"], one["outcome"]) for one in reports] == [
        ("readings_inner.csv", "rejected"), ("readings_link.csv", "rejected")]  # fmt: skip
    assert all("is a link" in one["error"] for one in reports)
    assert all(path.exists() for path in alone)
    assert secret.read_text(encoding="utf-8") == "secret"
    put(tmp_path, "readings.csv")
    (tmp_path / "environment" / "done").symlink_to(outside)
    assert [one["file"] for one in box(tmp_path, Centre()).round()] == ["done", "readings.csv"]
    assert [path.name for path in outside.iterdir()] == ["readings_secret.csv"]
    (tmp_path / "environment" / "rejected").rename(tmp_path / "moved")
    (tmp_path / "environment" / "rejected").symlink_to(outside)
    with pytest.raises(ConfigurationError, match="is a link"):
        list(box(tmp_path, Centre()).round())
    assert [path.name for path in outside.iterdir()] == ["readings_secret.csv"]


@pytest.mark.parametrize(
    ("name", "agency", "words"),
    [
        ("what.csv", "environment", "which data set what.csv is of"),
        ("readingsx.csv", "environment", "which data set"),
        ("readings.csv", "meteorology", "is of agency 'environment', not of 'meteorology'"),
        ("wrong.csv", "environment", "there is no data set 'nothing'"),
        ("twice.csv", "environment", "is matched by a.toml and by b.toml"),
    ],
)
def test_files_that_belong_nowhere_are_rejected(tmp_path: Path, name: str, agency: str, words: str) -> None:
    """Goal: the sender learns what to do; the file is kept. Method: unknown names, another agency's data set, mappings
    that name none or overlap."""
    put(tmp_path, "w.toml", 'match = "wrong*"\ndata_set = "nothing"')
    put(tmp_path, "a.toml", 'match = "tw*"\ndata_set = "readings"')
    put(tmp_path, "b.toml", 'match = "*ice.csv"\ndata_set = "readings"')
    put(tmp_path, name, agency=agency)
    centre = Centre()
    (report,) = box(tmp_path, centre).round()
    assert (report["outcome"], centre.calls) == ("rejected", 0)
    assert words in report["error"]
    assert report["hint"]
    assert f"{agency}/rejected/{name}" in tree(tmp_path)


def test_mappings_say_which_file_is_what(tmp_path: Path) -> None:
    """Goal: a mapping wins over the name; one that cannot be read keeps its agency waiting, and is told once. Method:
    the mapping is broken, then mended."""
    put(tmp_path, "m.toml", MAPPING + "[columns\n")
    put(tmp_path, "读数_4月.csv")
    put(tmp_path, "weather_observations.csv", agency="meteorology", content="y")
    inbox = box(tmp_path, Centre())
    first = list(inbox.round())
    assert [(one["agency"], one["outcome"]) for one in first] == [("environment", "waiting"), ("meteorology", "done")]
    assert "m.toml cannot be read" in first[0]["error"]
    assert list(inbox.round()) == []
    put(tmp_path, "m.toml", MAPPING + 'time_zone = "Asia/Shanghai"')
    (report,) = inbox.round()
    assert (report["data_set"], report["moved_to"]) == ("readings", "done/读数_4月.csv")


def test_assignments() -> None:
    """Goal: the longest name of a data set wins, and a mapping may leave the data set to the name. Method: both."""
    contracts = dict.fromkeys(("readings", "readings_of_noise"), CONTRACTS["readings"])
    assert data_set_of("readings_of_noise_2017.csv", contracts) == "readings_of_noise"
    assert data_set_of("Readings.csv.gz", contracts) == "readings"
    assert data_set_of("readings-2017.csv", contracts) is None
    mapping = Mapping(match="readings_*")
    assert assign("environment", "readings_1.csv", {"m": mapping, "n": Mapping()}, contracts).mapping is mapping
    assert assign("environment", "readings.csv", {"m": mapping}, contracts).mapping == Mapping()
    with pytest.raises(UnknownDataSetError):
        assign("environment", "x.csv", {"m": mapping}, contracts)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InputFileError("a.csv cannot be read as csv"), "rejected"),
        (ConfigurationError("the mapping fills column 'x' twice"), "rejected"),
        (LimitError("an exchange may have 8 bytes"), "rejected"),
        (AssertionError("a row of the file was lost"), "rejected"),
        (UnavailableError("nobody answers"), None),
    ],
)
def test_errors_of_a_file_reject_it_and_others_leave_it(
    tmp_path: Path, error: Exception, outcome: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Goal: nothing is moved because a centre is away, and one bad file holds up no other. Method: each kind of error,
    then none."""
    put(tmp_path, "readings.csv")
    centre = Centre(error=error)
    inbox = box(tmp_path, centre)
    if outcome is None:
        with pytest.raises(HubError):
            list(inbox.round())
        assert tree(tmp_path) == {"environment/readings.csv"}
        centre.error = None
        assert [report["outcome"] for report in inbox.round()] == ["done"]
    else:
        (report,) = inbox.round()
        assert report["outcome"] == outcome
        assert str(getattr(error, "message", error)) in report["error"]
        assert ("Traceback" in capfd.readouterr().err) == isinstance(error, AssertionError)


def test_a_file_that_changes_while_it_is_loaded_stays(tmp_path: Path) -> None:
    """Goal: what is in `done` is what was loaded. Method: the file grows during the load; the next round takes it."""
    path = put(tmp_path, "readings.csv")

    def grow() -> None:
        path.write_text("longer", encoding="utf-8")

    centre = Centre(while_loading=grow)
    inbox = box(tmp_path, centre)
    (report,) = inbox.round()
    assert report["outcome"] == "waiting"
    assert tree(tmp_path) == {"environment/readings.csv"}
    centre.while_loading = lambda: None
    assert [one["outcome"] for one in inbox.round()] == ["done"]
    assert centre.taken == {"longer": 1}


@pytest.mark.parametrize("step", ["load", "open", "fsync", "replace", "rename", "after"])
@pytest.mark.parametrize("clash", [False, True])
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, clash: bool
) -> None:
    """Goal: after a crash at any moment and a new start, every file lies in `done` once, with its report, and every
    content was taken. Method: kill before each call of the way, then run again undisturbed."""
    if clash:
        put(tmp_path, "readings.csv", content="before")
        list(box(tmp_path, Centre()).round())
    put(tmp_path, "readings.csv", content="one")
    centre = Centre()

    def kill(*_: object, **__: object) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        match step:
            case "load":
                centre.while_loading = kill
            case "after":
                patch.setattr(folders, "_sync", kill)
            case "fsync":
                patch.setattr(os, "fsync", kill)
            case "open":
                patch.setattr(folders, "_write", kill)
            case _:
                patch.setattr(Path, step, kill)
        with pytest.raises(Killed):
            list(box(tmp_path, centre).round())
    centre.while_loading = lambda: None
    list(box(tmp_path, centre).round())
    names = ["readings.csv", "readings-2.csv"] if clash else ["readings.csv"]
    assert centre.taken == {"one": 1}
    assert {name for name in tree(tmp_path) if not name.endswith(".tmp")} == {
        f"environment/done/{name}{suffix}" for name in names for suffix in ("", ".report.json")
    }
    assert (tmp_path / "environment/done" / names[-1]).read_text(encoding="utf-8") == "one"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 4)), max_size=30))
def test_only_files_that_stayed_the_same_are_settled(changes: list[tuple[str, int, int]]) -> None:
    """Goal: a file is settled if and only if it looked the same for that long. Method: random looks, against a record
    of when each last changed."""
    files: dict[Path, Any] = {}
    looks: dict[Path, Look] = {}
    since: dict[Path, int] = {}
    now_s = 0
    for name, size, pause_s in changes:
        now_s += pause_s
        path = Path(name)
        look = Look(size=size, mtime_ns=size, inode=1)
        if looks.get(path) != look:
            since[path] = now_s
        looks[path] = look
        files = watched(files, looks, now_s)
        assert set(settled(files, now_s, 3)) == {one for one in looks if now_s - since[one] >= 3}
    assert watched(files, {}, now_s) == {}


def test_free_places(tmp_path: Path) -> None:
    """Goal: no file is overwritten, and suffixes stay last. Method: three of one name; a broken link counts."""
    found = []
    for _ in range(3):
        place = free_place(tmp_path, "a.csv.gz")
        with suppress(FileExistsError):
            place.symlink_to("nowhere")
        found.append(place.name)
    assert found == ["a.csv.gz", "a-2.csv.gz", "a-3.csv.gz"]
