"""From a share policy, as people write it, to the exact stations and fields that leave.

A pattern stands for the numbers it fits. A text leaves by its whole name only, for it may hold
anything; serials leave by `serial` alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain

from agent.delivery.share import FREE_TEXTS, SerialMode, Share, SharedField
from agent.wire.schema import TAGS, FieldType, Schema
from collectors.errors import FixTheFileError
from collectors.profile import Profile

_KEY_LETTERS = 32
_NEVER = {
    "serial": "serials leave as the key `serial` of the policy says",
    "good": "it counts hidden values as well",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one uplink is to get: globs of stations, measurement → globs of fields, glob → decimals.

    The first glob of `decimals` that fits a field holds. `carriers`: registers beside `serial`
    that hold serials.
    """

    stations: Sequence[str]
    fields: Mapping[str, Sequence[str]]
    decimals: Mapping[str, int]
    serial: SerialMode
    carriers: frozenset[str] = frozenset()

    def share(self, uplink: str, *, agent: str, profiles: Mapping[str, Profile], key: str) -> Share:
        """Return what leaves for `uplink` from a site with these profiles, by their stations.

        Raises FixTheFileError with every name and pattern that fits nothing, and for a `key` that
        could be guessed.
        """
        names = [*profiles, agent]
        stations = frozenset(
            name for name in names if any(fnmatchcase(name, each) for each in self.stations)
        )
        schema = Schema.of(each for name, each in profiles.items() if name in stations)
        faults = [*self._faults(names, stations, schema), *self._faults_of_key(key)]
        if faults:
            raise FixTheFileError(
                "\n".join(f"share of {uplink}: {each}" for each in faults),
                f"`lini share explain {uplink}` shows what leaves",
            )
        return Share(
            uplink=uplink,
            stations=stations,
            fields={
                measurement: dict(self._shared(schema.fields[measurement], patterns))
                for measurement, patterns in self.fields.items()
            },
            serial=self.serial,
            key=key.encode(),
        )

    def _shared(
        self, types: Mapping[str, FieldType], patterns: Sequence[str]
    ) -> Iterator[tuple[str, SharedField]]:
        for name, wanted in types.items():
            if name == "serial" and self.serial != "none":
                yield name, SharedField(type=wanted, is_serial=True)
            elif any(self._fits(name, wanted, each) for each in patterns):
                found = (n for each, n in self.decimals.items() if fnmatchcase(name, each))
                yield (
                    name,
                    SharedField(
                        type=wanted,
                        decimals=next(found, None) if wanted == "float" else None,
                        is_serial=name in self.carriers and wanted == "str",
                    ),
                )

    def _faults(
        self, names: Sequence[str], shared: AbstractSet[str], schema: Schema
    ) -> Iterator[str]:
        *_, agent = names
        for each in self.stations:
            if not any(fnmatchcase(name, each) for name in names):
                yield f"`{each}` fits no station; there is: {', '.join(names)}"
        for measurement, patterns in self.fields.items():
            types = schema.fields.get(measurement)
            if types is None:
                known = ", ".join(sorted(schema.fields))
                yield f"there is no measurement `{measurement}`; there is: {known}"
                continue
            if "agent" in TAGS[measurement] and agent not in shared:
                yield f"{measurement} is of the agent itself: add `{agent}` to `stations`"
            for each in patterns:
                if fault := self._fault_of_field(each, types):
                    yield f"`{each}` of {measurement}: {fault}"
        types_of_all = chain.from_iterable(each.items() for each in schema.fields.values())
        numbers = {name for name, wanted in types_of_all if wanted == "float"}
        for each in self.decimals:
            if not any(fnmatchcase(name, each) for name in numbers):
                yield f"`round`: `{each}` fits no number with decimals"

    def _fault_of_field(self, pattern: str, types: Mapping[str, FieldType]) -> str:
        if pattern in _NEVER:
            return _NEVER[pattern]
        if pattern in self.carriers and self.serial == "none":
            return 'it is a serial, and serial = "none"'
        if pattern in self.carriers and self.serial == "hashed" and types.get(pattern) != "str":
            return "it is a serial that is a number, and cannot be hashed"
        if pattern in FREE_TEXTS and self.serial != "plain":
            return 'people may write a serial into it: it leaves only with serial = "plain"'
        if not any(self._fits(name, wanted, pattern) for name, wanted in types.items()):
            known = ", ".join(name for name in types if name not in _NEVER)
            return (
                f"it fits nothing that the shared stations have (a text needs its whole name); "
                f"there is: {known}"
            )
        return ""

    def _faults_of_key(self, key: str) -> Iterable[str]:
        if self.serial == "hashed" and len(key) < _KEY_LETTERS:
            yield (
                f"the secret for serials has less than {_KEY_LETTERS} letters and could be "
                "guessed; make one by `openssl rand -hex 32`"
            )

    def _fits(self, name: str, wanted: FieldType, pattern: str) -> bool:
        if name in _NEVER:
            return False
        is_by_name = wanted == "str" or name in self.carriers
        return name == pattern if is_by_name else fnmatchcase(name, pattern)
