"""Is the pair ready for a switchover, and for a failover? Every check with its value, its limit and what to do.

Values come from both centres' status, taken at about the same moment. A centre that does not answer fails one check;
the checks that need its word are left out. Nothing here asks anybody or reads a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.config import CENTRES, City
from hub.errors import HubError
from hub.status import CentreStatus, LogStatus

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`limit` says what `value` is held to, `remedy` what to do when it is not `ok`."""

    name: str
    ok: bool
    value: str
    limit: str
    remedy: str


def checks(found: Mapping[str, CentreStatus | HubError], city: City) -> list[Check]:
    """`found` has both centres' status, or why one does not answer."""
    alive = {name: one for name, one in found.items() if isinstance(one, CentreStatus)}
    result = [_answers(name, one) for name, one in found.items()]
    for name, one in alive.items():
        result += _witness(name, one, city)
    if alive:
        result += _alike(alive)
    for log in CENTRES:
        at = {name: _log_of(one, log) for name, one in alive.items()}
        if at:
            result += [*_configuration(log, at, city), *_way(log, at), *_lag(log, at, city)]
    for name, one in alive.items():
        result += _space(name, one, city)
    return result


# --- Centres and witness --------------------------------------------------------------------------------------------


def _answers(name: str, one: CentreStatus | HubError) -> Check:
    return Check(
        name=f"{name} answers",
        ok=isinstance(one, CentreStatus),
        value="yes" if isinstance(one, CentreStatus) else one.message,
        limit="yes",
        remedy=f"start it (`cityhub serve {name}`); if it ended by itself, its last log lines say why",
    )


def _witness(name: str, one: CentreStatus, city: City) -> list[Check]:
    witness = one.witness
    view_ms_max = city.readiness.view_beats_max * city.replication.heartbeat_ms
    fresh = 0 <= witness.last_view_ms_ago <= view_ms_max
    heard = "its word is refused: rebuild it from both centres with `cityhub witness rebuild`"
    away = f"start it (`cityhub witness`), or mend the way from {name} to {witness.address}"
    return [
        Check(
            name=f"{name} sees the witness",
            ok=witness.seen,
            value="seen" if witness.seen else f"UNOBSERVED: {witness.problem}",
            limit="seen",
            remedy=heard if fresh else away,
        ),
        Check(
            name=f"{name}: witness's newest view",
            ok=fresh,
            value="never" if witness.last_view_ms_ago < 0 else f"{witness.last_view_ms_ago:,.0f} ms ago",
            limit=f"{view_ms_max:,} ms",
            remedy=f"{away}; if it runs, look at the load and the disk of its machine",
        ),
    ]


def _alike(alive: Mapping[str, CentreStatus]) -> list[Check]:
    identities = {
        name: f"{one.witness.identity[:8] or 'none'}, generation {one.witness.generation}"
        for name, one in alive.items()
    }
    versions = {name: one.version for name, one in alive.items()}
    maintenance = any(one.witness.maintenance for one in alive.values())
    return [
        Check(
            name="same witness",
            ok=len({(one.witness.identity, one.witness.generation) for one in alive.values()}) == 1,
            value=_common(identities),
            limit="the same at both",
            remedy="let both centres' city.toml name one witness; if they do, `cityhub witness rebuild`",
        ),
        Check(
            name="maintenance",
            ok=not maintenance,
            value="on" if maintenance else "off",
            limit="off",
            remedy="`cityhub maintenance off`: while it is on, no role changes by itself",
        ),
        Check(
            name="software version",
            ok=len(set(versions.values())) == 1,
            value=_common(versions),
            limit="the same at both",
            remedy="install one version at both; a centre that is stopped hands its logs over first",
        ),
    ]


def _space(name: str, one: CentreStatus, city: City) -> list[Check]:
    limits = city.readiness
    log_bytes = sum(log.log_bytes for log in one.logs)
    free_min = city.ingest.disk_free_bytes_min
    return [
        Check(
            name=f"{name}: disk free",
            ok=one.store.disk_free_bytes >= free_min,
            value=_mib(one.store.disk_free_bytes),
            limit=f"at least {_mib(free_min)}",
            remedy=f"free disk space at {name}: below the limit it takes no writes as leader",
        ),
        Check(
            name=f"{name}: store",
            ok=one.store.store_bytes <= limits.store_bytes_max,
            value=_mib(one.store.store_bytes),
            limit=_mib(limits.store_bytes_max),
            remedy=f"give {name} a larger disk, then raise store_bytes_max in [readiness]",
        ),
        Check(
            name=f"{name}: log files",
            ok=log_bytes <= limits.log_bytes_max,
            value=_mib(log_bytes),
            limit=_mib(limits.log_bytes_max),
            remedy=f"give {name} a larger disk, then raise log_bytes_max in [readiness]",
        ),
    ]


# --- Logs -----------------------------------------------------------------------------------------------------------


def _configuration(log: str, at: Mapping[str, LogStatus], city: City) -> list[Check]:
    named = {one.leader for one in at.values()}
    leading = [name for name, one in at.items() if one.role == "leader"]
    agreed = len(named) == 1 and leading == [name for name in at if name in named]
    words = {name: one.leader if agreed else f"{one.leader}, and is {one.role}" for name, one in at.items()}
    configurations = {name: f"version {one.configuration_version}, epoch {one.epoch}" for name, one in at.items()}
    left_out = [name for name in CENTRES if any(name not in one.in_sync for one in at.values())]
    pending_ms, pending_ms_max = max(one.pending_ms for one in at.values()), city.readiness.pending_ms_max
    change = "a change of roles takes moments; if it stays so, see that both centres see the witness"
    return [
        Check(
            name=f"log {log}: one leader",
            ok=agreed,
            value=_common(words),
            limit="one, named by both",
            remedy=change,
        ),
        Check(
            name=f"log {log}: configuration",
            ok=len({(one.configuration_version, one.epoch) for one in at.values()}) == 1,
            value=_common(configurations),
            limit="the same at both",
            remedy=change,
        ),
        Check(
            name=f"log {log}: in sync",
            ok=not left_out,
            value=f"without {' and '.join(left_out)}" if left_out else "both",
            limit="both",
            remedy=f"start {' and '.join(left_out) or 'the standby'} if it is down, and wait: it catches up by itself",
        ),
        Check(
            name=f"log {log}: request pending",
            ok=pending_ms <= pending_ms_max,
            value=f"for {pending_ms:,.0f} ms" if pending_ms else "none",
            limit=f"{pending_ms_max:,} ms",
            remedy="the witness does not answer the leader: start it, or mend the way to it",
        ),
    ]


def _way(log: str, at: Mapping[str, LogStatus]) -> list[Check]:
    """What each centre says of its peer and of itself."""
    suspicions = {name: one.suspected for name, one in at.items() if one.suspected}
    apart = [name for name, one in at.items() if not one.peer_connected]
    blocked = {name: one.blocked for name, one in at.items() if one.blocked}
    return [
        Check(
            name=f"log {log}: suspicion",
            ok=not suspicions,
            value=_each(suspicions) or "none",
            limit="none",
            remedy="look at the network between the centres, and at the load of the one that is suspected",
        ),
        Check(
            name=f"log {log}: connected",
            ok=not apart,
            value=f"not from {' and '.join(apart)}" if apart else "both ways",
            limit="both ways",
            remedy="each centre must reach the other's grpc address in city.toml: look at network and firewall",
        ),
        Check(
            name=f"log {log}: writable",
            ok=not blocked,
            value=_each(blocked) or "yes",
            limit="yes",
            remedy="remove the cause; a halted log is seeded anew: stop its centre, move its folder away, start",
        ),
    ]


def _lag(log: str, at: Mapping[str, LogStatus], city: City) -> list[Check]:
    limits = city.readiness
    found = []
    for one in at.values():
        if one.role == "leader":
            remedy = "wait until the load falls; if it lasts, the network or the standby's disk is too slow"
            lags = (
                ("entries", one.lag_entries, limits.transport_lag_entries_max, f"{one.lag_entries:,}"),
                ("MiB", one.lag_bytes, limits.transport_lag_bytes_max, f"{one.lag_bytes / _MIB:,.1f}"),
                ("s", one.lag_s, limits.transport_lag_s_max, f"{one.lag_s:.1f}"),
            )
            found += [
                Check(
                    name=f"log {log}: lag, {unit}",
                    ok=value <= limit,
                    value=shown,
                    limit=f"{limit // _MIB if unit == 'MiB' else limit:,}",
                    remedy=remedy,
                )
                for unit, value, limit, shown in lags
            ]
    behind = {name: one.apply_lag_entries for name, one in at.items()}
    return [
        *found,
        Check(
            name=f"log {log}: apply lag, entries",
            ok=max(behind.values()) <= limits.apply_lag_entries_max,
            value=_common({name: f"{entries:,}" for name, entries in behind.items()}),
            limit=f"{limits.apply_lag_entries_max:,}",
            remedy="wait, and end long queries; if it lasts, raise the limits of [store] in city.toml",
        ),
    ]


# --- Small helpers --------------------------------------------------------------------------------------------------


def _log_of(status: CentreStatus, log: str) -> LogStatus:
    return next(one for one in status.logs if one.log == log)


def _common(values: Mapping[str, str]) -> str:
    """What all say, once; else who says what."""
    return next(iter(values.values())) if len(set(values.values())) == 1 else _each(values)


def _each(values: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in values.items())


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:,.0f} MiB"
