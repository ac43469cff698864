"""Requirements by name, as in `requires = "ndsa-3"`: what each asks for, and a class with that written out.

Sources:

* `3-2-1-1-0`: Veeam, "3-2-1-1-0 rule": three copies, on two media, one elsewhere, one offline or immutable, no errors when they are verified.
* `ndsa-1` … `ndsa-4`: NDSA Levels of Digital Preservation, version 2.0 (2019), https://ndsa.org/publications/levels-of-digital-preservation/, the
  rows Storage and Integrity. That no one person can write to all copies is of version 1 (2013), fourth level of the row File Fixity.

What neither says in figures is said here. Elsewhere, collocated and geographic location are a `site`; a different disaster threat is another `region`. Verified
without errors is level 2; an integrity that was verified when it was copied is level 3; fixed intervals are no longer than a year.
"""

from collections.abc import Mapping
from types import MappingProxyType

from catalog.config import DataClass, RequirementSet
from catalog.errors import ConfigError

_YEAR = 365 * 86400.0
_LEAST = ("copies", "systems", "sites", "regions", "admins", "media", "offline_or_immutable", "min_verification_level")  # more is stricter
_MOST = ("max_copy_age", "max_verification_age")  # less is stricter

SETS: Mapping[RequirementSet, Mapping[str, float]] = MappingProxyType(
    {
        "3-2-1-1-0": {"copies": 3, "media": 2, "sites": 2, "offline_or_immutable": 1, "min_verification_level": 2, "max_verification_age": _YEAR},
        "ndsa-1": {"copies": 2, "sites": 2, "min_verification_level": 2},
        "ndsa-2": {"copies": 3, "sites": 2, "min_verification_level": 3},
        "ndsa-3": {"copies": 3, "sites": 2, "regions": 2, "media": 2, "min_verification_level": 3, "max_verification_age": _YEAR},
        "ndsa-4": {
            "copies": 3, "systems": 2, "sites": 3, "regions": 3, "admins": 2, "media": 2, "min_verification_level": 3, "max_verification_age": _YEAR,
        },
    }
)  # fmt: skip


def written_out(name: str, data_class: DataClass) -> DataClass:
    """A class with all that its sets ask for among its own keys. Raises ConfigError where a key of its own asks for less than a set."""
    asked = together(data_class.requires)
    for key, value in asked.items():
        own = getattr(data_class, key)
        if own is not None and (own < value if key in _LEAST else own > value):
            theirs = ", ".join(one for one in data_class.requires if SETS[one].get(key) == value)
            raise ConfigError(f"classes.{name}.{key}: {theirs} asks for {_told(key, value)}, and this is less strict; leave it out, or be stricter")
    own_keys = {key: getattr(data_class, key) for key in asked if getattr(data_class, key) is not None}
    return data_class.model_copy(update={**{key: value if key in _MOST else int(value) for key, value in asked.items()}, **own_keys})


def together(sets: tuple[RequirementSet, ...]) -> dict[str, float]:
    """The strictest that some sets ask for, by key of a class."""
    found: dict[str, float] = {}
    for one in sets:
        for key, value in SETS[one].items():
            found[key] = (max if key in _LEAST else min)(found.get(key, value), value)
    return found


def asking_for(data_class: DataClass, control: str) -> tuple[RequirementSet, ...]:
    """The sets of a class that ask for a control, in its order."""
    return tuple(one for one in data_class.requires if control in SETS[one])


def _told(key: str, value: float) -> str:
    return f"{int(value)} at least" if key in _LEAST else f"{value / 86400:g} days at most"
