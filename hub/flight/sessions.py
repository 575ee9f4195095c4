"""What a caller wants of its reads and ingests, call by call or for a session.

Headers of a call: `cityhub-class`, `cityhub-read` (local, strong), `cityhub-at-least` (`ops=12,ecc=5`),
`cityhub-idempotency-key`, `cityhub-home`. A session, known by a cookie, keeps the first three as options, and the
position of what it has ingested: it reads its own writes at whichever centre took them.
"""

import base64
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

import pyarrow.flight as fl

from hub.errors import BadRequestError
from hub.flight.tables import SCHEMA
from hub.position import position_of_text, raise_to
from hub.query.asked import Asked
from hub.query.guard import CATALOG
from hub.query.scheduler import QueryClass

MIDDLEWARE: Final = "cityhub"
COOKIE: Final = "arrow_flight_session_id"
KEY_HEADER: Final = "cityhub-idempotency-key"
HOME_HEADER: Final = "cityhub-home"
FORWARDED_HEADER: Final = "cityhub-forwarded"
CLASS, READ, AT_LEAST = "cityhub-class", "cityhub-read", "cityhub-at-least"
_NAME_MAX: Final = 64
_READS: Final = ("local", "strong")
_FIXED: Final = {"catalog": CATALOG, "schema": SCHEMA}


@dataclass(slots=True)
class Session:
    options: dict[str, str] = field(default_factory=dict)
    position: dict[str, int] = field(default_factory=dict)


class Sessions:
    """For any thread; the longest unused are forgotten beyond `kept_max`."""

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Session] = OrderedDict()

    def get(self, name: str) -> Session | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def begun(self, name: str) -> Session:
        with self._lock:
            session = self._kept.setdefault(name, Session())
            self._kept.move_to_end(name)
            if len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        return session

    def end(self, name: str) -> bool:
        with self._lock:
            return self._kept.pop(name, None) is not None


class Call(fl.ServerMiddleware):  # type: ignore[misc]  # pyarrow has no types
    """One call: its headers and its session."""

    def __init__(self, sessions: Sessions, headers: dict[str, str]) -> None:
        super().__init__()
        self._sessions = sessions
        self.headers = headers
        known = _cookie(headers.get("cookie", ""))
        self._is_new = not known
        self.session_name = known or secrets.token_urlsafe(18)
        self._is_login, self.user = _user(headers.get("authorization", ""))

    def sending_headers(self) -> dict[str, str]:
        """Before the call runs. A caller that understands cookies sends its own back; one that says who it is gets the
        token that drivers expect."""
        cookie = {"set-cookie": f"{COOKIE}={self.session_name}"} if self._is_new else {}
        return cookie | ({"authorization": f"Bearer {self.user}"} if self._is_login else {})

    @property
    def session(self) -> Session | None:
        return None if self._is_new else self._sessions.get(self.session_name)

    def began(self) -> Session:
        """The session, begun if there was none."""
        return self._sessions.begun(self.session_name)

    def asked(self, sql: str, parameters: Any = (), *, asked_by: str) -> Asked:
        """Raises BadRequestError for a header that is not understood."""
        session = self.session or Session()
        options = {**session.options, **self.headers}
        read = options.get(READ, _READS[0])
        if read not in _READS:
            raise BadRequestError(f"there is no {READ} {read!r}", hint=f"one of {', '.join(_READS)}")
        at_least = dict(session.position)
        raise_to(at_least, position_of_text(options.get(AT_LEAST, "")))
        return Asked(
            sql=sql,
            parameters=parameters,
            query_class=QueryClass.of(options.get(CLASS, "")),
            at_least=at_least,
            strong=read == "strong",
            asked_by=f"{self.user} {asked_by}".strip(),
        )


class CallFactory(fl.ServerMiddlewareFactory):  # type: ignore[misc]  # as above
    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self._sessions = sessions

    def start_call(self, info: fl.CallInfo, headers: dict[str, list[str]]) -> Call:
        found = {name.lower(): values[-1] for name, values in headers.items() if values}
        return Call(self._sessions, {name: one for name, one in found.items() if isinstance(one, str)})


def set_option(session: Session, name: str, value: str | None) -> str:
    """What is wrong with it: "", "name" or "value". None takes an option back."""
    if name in _FIXED:
        return "" if value in (None, "", _FIXED[name]) else "value"
    if name not in (CLASS, READ, AT_LEAST):
        return "name"
    if value in (None, ""):
        session.options.pop(name, None)
        return ""
    if not _understood(name, value or ""):
        return "value"
    session.options[name] = value or ""
    return ""


def options_of(session: Session | None) -> dict[str, str]:
    return {**_FIXED, **(session.options if session else {})}


def _understood(name: str, value: str) -> bool:
    try:
        if name == CLASS:
            QueryClass.of(value)
        elif name == AT_LEAST:
            position_of_text(value)
    except BadRequestError:
        return False
    return name != READ or value in _READS


class AnybodyHandler(fl.ServerAuthHandler):  # type: ignore[misc]  # as above
    """Drivers with user and password shake hands first. Who they say they are is taken as it is, and is shown beside
    their queries; nobody is refused."""

    def authenticate(self, outgoing: object, incoming: object) -> None:
        pass

    def is_valid(self, token: bytes) -> bytes:
        return b""


def _user(authorization: str) -> tuple[bool, str]:
    """(whether it is a login, the name); an unreadable one is nobody's."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return False, value[:_NAME_MAX]
    if kind.lower() != "basic":
        return False, ""
    try:
        padded = value + "=" * (-len(value) % 4)  # Some drivers leave it out.
        name = base64.b64decode(padded, validate=True).decode().partition(":")[0]
    except ValueError:
        return True, "unknown"
    plain = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "._-@"))
    return True, plain[:_NAME_MAX] or "unknown"


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
