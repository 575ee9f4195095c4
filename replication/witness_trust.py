"""Whether a centre trusts what a witness says: rules about values, without I/O.

1. A witness without an identity says nothing yet.
2. The known witness is trusted; another one, or an older generation, is refused.
3. A higher generation is a rebuilt witness, whatever its id.
4. A witness is refused whose configuration of a log is older than the centre's own was when it asked, or contradicts
   it: its files were put back to an earlier time.
"""

from collections.abc import Mapping

from replication.core.types import Configuration
from replication.observation import View, WitnessIdentity


def objection(view: View, *, known: WitnessIdentity | None, own: Mapping[str, Configuration]) -> str:
    """Why the view must not be used; empty when it may. `known` is None at a centre that has met no witness; `own`
    are the centre's configurations from before the question was sent that the view answers."""
    given = view.identity
    if given is None:
        return f"it is empty and not {name_of(known)}: rebuild it" if known else "it has not met both centres yet"
    if known is not None and given.generation <= known.generation and given != known:
        return f"refused: another witness, {name_of(given)}, where this centre knows {name_of(known)}"
    standings = dict(view.standings)
    for log, configuration in own.items():
        if complaint := outdated(log, standings.get(log), configuration):
            return f"refused: {complaint}"
    return ""


def outdated(log: str, standing: Configuration | None, own: Configuration) -> str:
    """What is wrong with a standing configuration where a centre holds its own; empty when nothing is."""
    version = standing.version if standing else 0
    if version < own.version:
        return f"its version of log {log} is {version}, and this centre holds version {own.version}: rebuild it"
    if version == own.version and standing != own:
        return f"its version {version} of log {log} is not the one that this centre holds"
    return ""


def name_of(identity: WitnessIdentity) -> str:
    return f"witness {identity.id[:8]}, generation {identity.generation}"
