"""Errors of the hub, one tree. Each carries facts, whether its effect is definite, and what to do next.

    HubError
    ├── BadRequestError          the caller must change the request
    │   ├── ContractError        a contract is wrong or clashes with the one in force
    │   ├── UnknownDataSetError  no contract of that name
    │   ├── ExchangeError        an exchange cannot be read or does not fit its contract
    │   ├── QueryError           a query is refused by the guard, or DuckDB refuses it
    │   └── InputFileError       a file cannot be read as the format it was taken for
    ├── LimitError               a limit named in the configuration was reached
    │   └── OverloadedError      too much is asked at once: come back after `retry_s`
    ├── NotLeaderError           this centre does not lead the log; `leader` does
    ├── UnavailableError         cannot be done now: try again later
    ├── StoreDamagedError        the DuckDB file cannot be opened; it can be rebuilt from the logs
    └── ConfigurationError       city.toml or a command's options are wrong

`service` translates them to gRPC status in one table; `client` translates back.
"""


class HubError(Exception):
    """Base of all. `hint` says what to do next; `definite` is True when nothing was written."""

    reason = "HUB_ERROR"
    definite = True

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.__dict__))

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class BadRequestError(HubError):
    reason = "BAD_REQUEST"


class ContractError(BadRequestError):
    reason = "CONTRACT"


class UnknownDataSetError(BadRequestError):
    reason = "UNKNOWN_DATA_SET"


class ExchangeError(BadRequestError):
    reason = "EXCHANGE"


class QueryError(BadRequestError):
    reason = "QUERY"


class InputFileError(BadRequestError):
    reason = "INPUT_FILE"


class LimitError(HubError):
    reason = "LIMIT"


class OverloadedError(LimitError):
    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint or f"try again after {retry_s:.1f} s")
        self.retry_s = retry_s


class NotLeaderError(HubError):
    """`leader` is the centre to ask instead, `address` its gRPC address. `definite` as in UnavailableError."""

    reason = "NOT_LEADER"

    def __init__(self, message: str, *, leader: str, address: str, hint: str = "", definite: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.definite = definite
        self.leader = leader
        self.address = address


class UnavailableError(HubError):
    """`definite` is False when a write may still be carried out: send it again with the same sequence."""

    reason = "UNAVAILABLE"

    def __init__(self, message: str, *, hint: str = "", definite: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.definite = definite


class StoreDamagedError(HubError):
    reason = "STORE_DAMAGED"


class ConfigurationError(HubError):
    reason = "CONFIGURATION"


def _rebuild(kind: type[HubError], facts: dict[str, object]) -> HubError:
    error = kind.__new__(kind)
    Exception.__init__(error, *(facts.get("message", ""),))
    error.__dict__.update(facts)
    return error
