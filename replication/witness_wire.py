"""What centres and witness say to each other ↔ protobuf messages. Converts only: whoever receives judges."""

from replication.observation import Beat, Change, LogReport, PeerReport, View, WitnessIdentity
from replication.rpc.v1 import witness_pb2 as pb
from replication.wire import configuration_from_pb, configuration_to_pb


def identity_to_pb(identity: WitnessIdentity | None) -> pb.WitnessIdentity | None:
    return None if identity is None else pb.WitnessIdentity(id=identity.id, generation=identity.generation)


def identity_from_pb(message: pb.WitnessIdentity) -> WitnessIdentity:
    return WitnessIdentity(id=message.id, generation=message.generation)


def beat_to_pb(beat: Beat) -> pb.Beat:
    return pb.Beat(
        centre=beat.centre,
        address=beat.address,
        identity=identity_to_pb(beat.identity),
        logs=[_report_to_pb(report) for report in beat.logs],
    )


def beat_from_pb(message: pb.Beat) -> Beat:
    return Beat(
        centre=message.centre,
        address=message.address,
        identity=identity_from_pb(message.identity) if message.HasField("identity") else None,
        logs=tuple(_report_from_pb(report) for report in message.logs),
    )


def view_to_pb(view: View) -> pb.View:
    return pb.View(
        identity=identity_to_pb(view.identity),
        maintenance=view.maintenance,
        standings=[
            pb.StandingOfLog(log=log, configuration=configuration_to_pb(standing)) for log, standing in view.standings
        ],
        peer=None
        if view.peer is None
        else pb.PeerReport(
            silent_ms=view.peer.silent_ms,
            gone=view.peer.gone,
            logs=[_report_to_pb(report) for report in view.peer.logs],
        ),
    )


def view_from_pb(message: pb.View) -> View:
    return View(
        identity=identity_from_pb(message.identity) if message.HasField("identity") else None,
        maintenance=message.maintenance,
        standings=tuple((one.log, configuration_from_pb(one.configuration)) for one in message.standings),
        peer=PeerReport(
            silent_ms=message.peer.silent_ms,
            gone=message.peer.gone,
            logs=tuple(_report_from_pb(report) for report in message.peer.logs),
        )
        if message.HasField("peer")
        else None,
    )


def change_to_pb(change: Change) -> pb.Change:
    return pb.Change(
        log=change.log,
        configuration=configuration_to_pb(change.configuration),
        centre=change.centre,
        reason=change.reason,
        at_unix_ms=change.at_unix_ms,
    )


def change_from_pb(message: pb.Change) -> Change:
    return Change(
        log=message.log,
        configuration=configuration_from_pb(message.configuration),
        centre=message.centre,
        reason=message.reason,
        at_unix_ms=message.at_unix_ms,
    )


def _report_to_pb(report: LogReport) -> pb.LogReport:
    return pb.LogReport(
        log=report.log,
        configuration=configuration_to_pb(report.configuration),
        end_lsn=report.end_lsn,
        commit_lsn=report.commit_lsn,
        fit=report.fit,
    )


def _report_from_pb(message: pb.LogReport) -> LogReport:
    return LogReport(
        log=message.log,
        configuration=configuration_from_pb(message.configuration),
        end_lsn=message.end_lsn,
        commit_lsn=message.commit_lsn,
        fit=message.fit,
    )
