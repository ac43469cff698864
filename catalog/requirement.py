"""What a data class asks for, a control a line, in words: pure functions of the configuration."""

from dataclasses import dataclass, replace

from catalog import domains, requirement_sets
from catalog.config import DataClass
from catalog.words import THREATS

_LEVELS = ("listed", "sizes consistent, or a digest attested by its storage", "all of it read and digested", "equal to the original", "restored and compared")


@dataclass(frozen=True)
class Line:
    """One control of a class. A threat that the class waives is a line, too."""

    control: str
    text: str
    waived: bool = False
    sets: tuple[str, ...] = ()  # by name, those that ask for it


def lines(data_class: DataClass) -> list[Line]:
    """Every control of a class, threats first, in the order of docs/protection.md."""
    kept = span(domains.retention(data_class))
    threats = {
        "user_error": f"survives that a user deletes or overwrites it: a copy keeps versions for {kept} or longer",
        "ransomware": f"survives that all within reach is encrypted: a copy is offline, or locked for {kept} or longer",
        "system_failure": "survives the loss of its storage system: a copy lies on another",
        "facility_outage": "survives the loss of its site: a copy lies at another",
    }
    found = [Line(threat, threats[threat], threat in data_class.waive) for threat in THREATS] + _set(data_class, kept)
    return [replace(line, sets=requirement_sets.asking_for(data_class, line.control)) for line in found]


def span(seconds: float) -> str:
    """A length of time in the greatest unit that divides it: '30 days', '24 hours', '90 minutes'; under two days in hours."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0 and (unit != "day" or seconds != length):
            number = int(seconds // length)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} seconds"


def _set(data_class: DataClass, kept: str) -> list[Line]:
    found = []
    for control, noun in (
        ("copies", "device"),
        ("systems", "storage system"),
        ("sites", "site"),
        ("regions", "region"),
        ("admins", "administrator"),
        ("media", "kind of media"),
        ("offline_or_immutable", "volume"),
    ):
        least = getattr(data_class, control)
        if least is not None:
            held = "hold it offline or unchangeable" if control == "offline_or_immutable" else "hold it"
            nouns = noun if least == 1 else noun.replace("kind of", "kinds of") if "kind" in noun else f"{noun}s"
            found.append(Line(control, f"at least {least} {nouns} {held.replace('hold', 'holds', 1) if least == 1 else held}, the original included"))
    if data_class.max_copy_age is not None:
        found.append(Line("max_copy_age", f"a copy holds what it is now, or was within the last {span(data_class.max_copy_age)}"))
    if data_class.min_verification_level is not None:
        level = data_class.min_verification_level
        found.append(Line("min_verification_level", f"a copy is known at level {level} or better ({_LEVELS[level]})"))
    if data_class.max_verification_age is not None:
        found.append(Line("max_verification_age", f"a copy was verified within the last {span(data_class.max_verification_age)}"))
    if data_class.retention is not None:
        found.append(Line("retention", f"a copy keeps versions for {kept} or longer"))
    return found
