"""The least of an estate that still shows a fault: what a person can think through."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from catalog.config import Config
from tests.protection.plain import Estate, Scan


def smallest(estate: Estate, faulty: Callable[[Estate], bool], tries: int = 300) -> Estate:
    """The estate without all that can be left out, one thing at a time, while it stays faulty; after so many tries, what is left then."""
    passed = 0
    while tries:
        for one in itertools.islice(_smaller(estate), passed, None):
            tries -= 1
            if faulty(one):
                estate = one
                break
            passed += 1
            if not tries:
                break
        else:
            return estate
    return estate


def _smaller(estate: Estate) -> Iterator[Estate]:
    for volume in estate.config.volumes:
        without = _without(estate, volume)
        if without:
            yield without
    yield from _fewer_files(estate)
    for place in range(len(estate.reads)):
        yield replace(estate, reads=estate.reads[:place] + estate.reads[place + 1 :])
    for place in range(len(estate.checks)):
        yield replace(estate, checks=estate.checks[:place] + estate.checks[place + 1 :])
    for config in _simpler(estate.config):
        yield replace(estate, config=config)


def _without(estate: Estate, volume: str) -> Estate | None:
    config = estate.config
    others = {name: declared for name, declared in config.volumes.items() if name != volume}
    mapped = any(target.startswith(f"{volume}:") for declared in others.values() for target in declared.path_map.values())
    if mapped or any(declared.on == volume or volume in (*(declared.of or ()), *declared.key_on) for declared in others.values()):
        return None
    return Estate(
        config.model_copy(update={"volumes": others}),
        estate.as_of,
        {name: scans for name, scans in estate.scans.items() if name != volume},
        tuple(read for read in estate.reads if read.volume != volume),
        tuple(check for check in estate.checks if check.volume != volume),
    )


def _fewer_files(estate: Estate) -> Iterator[Estate]:
    for volume, scans in estate.scans.items():
        if len(scans) > 1 and not any(file.carried for file in scans[-1].files):
            yield replace(estate, scans={**estate.scans, volume: scans[1:]})
        for number, scan in enumerate(scans):
            gone = scan.files if number == len(scans) - 1 else ()
            simpler: list[Scan] = [replace(scan, files=tuple(file for file in scan.files if file is not one)) for one in gone]
            simpler += [replace(scan, problems=(), broken=())] if scan.problems or scan.broken else []
            for less in simpler:
                yield replace(estate, scans={**estate.scans, volume: (*scans[:number], less, *scans[number + 1 :])})


def _simpler(config: Config) -> Iterator[Config]:
    stored: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    for part in ("labels", "exceptions"):
        if stored[part]:
            yield Config.model_validate({**stored, part: []})
    for part in ("classes", "volumes"):
        for name, values in stored[part].items():
            for key in values:
                if key not in ("url", "role", "select"):
                    rest = {name: {other: value for other, value in values.items() if other != key}}
                    yield Config.model_validate({**stored, part: {**stored[part], **rest}})
