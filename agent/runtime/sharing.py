"""The uplinks of a site as receivers of the outbox, each with its share policy applied."""

from collections.abc import Mapping
from pathlib import Path

from agent.config import LiniFile, ShareTable, UplinkTable, read_secret
from agent.delivery.outbox import UplinkSpec
from agent.delivery.policy import Policy
from agent.delivery.share import Share
from collectors.profile import Profile

EXAMPLE_KEY = "in place of the secret, where one only looks"


def receiver(
    file: LiniFile, folder: Path, uplink: UplinkTable, profiles: Mapping[str, Profile]
) -> UplinkSpec:
    """Return what the outbox makes messages for; without a policy it gets everything.

    Raises FixTheFileError when the policy names what is not there, or its secret cannot be read.
    """
    name, pack, table = uplink.name, uplink.compress, uplink.share
    if table is None:
        return UplinkSpec(name=name, pack=pack)
    key = read_secret(folder / table.secret_file) if table.secret_file else ""
    share = share_of(file, name, table, profiles, key=key)
    return UplinkSpec(name=name, pack=pack, select=share.select)


def share_of(
    file: LiniFile, uplink: str, table: ShareTable, profiles: Mapping[str, Profile], *, key: str
) -> Share:
    """Return what `table` lets leave for `uplink`; `profiles` by station.

    Raises FixTheFileError as `Policy.share` does.
    """
    policy = Policy(
        stations=table.stations,
        fields=table.fields,
        decimals=table.round,
        serial=table.serial,
        carriers=frozenset(scan.parent for scan in file.genealogy.scan),
    )
    return policy.share(uplink, agent=file.agent.name, profiles=profiles, key=key)
