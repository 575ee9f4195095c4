"""Finds the contract that an exchange is held to.

A centre that was seeded anew, or has just come to lead, knows its contracts only once it has applied its logs. Until
then it must not say that a data set or a version does not exist: a sender would give up an exchange that the log may
hold already.
"""

from collections.abc import Callable, Iterable, Mapping

from hub.catalogue.contract import Contract
from hub.errors import ContractError, UnknownDataSetError
from hub.ingest.admission import Admission


async def contract_in_force(
    data_set: str,
    contracts: Callable[[], Mapping[str, Contract]],
    admissions: Iterable[Admission],
    *,
    version: int | None = None,
) -> Contract:
    """`version` None stands for the one in force. Raises UnknownDataSetError and ContractError, or UnavailableError
    while this centre does not hold all that could decide it."""
    if not _fits(contracts().get(data_set), version):
        for admission in admissions:
            await admission.caught_up()
    contract = contracts().get(data_set)
    if contract is None:
        raise UnknownDataSetError(f"there is no data set {data_set!r}", hint="`cityhub datasets` lists them")
    if not _fits(contract, version):
        raise ContractError(
            f"{contract.name} is at version {contract.version}, the exchange at {version}",
            hint="fetch the catalogue again",
        )
    return contract


def _fits(contract: Contract | None, version: int | None) -> bool:
    return contract is not None and version in (None, contract.version)
