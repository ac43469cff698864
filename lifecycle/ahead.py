"""Looks at many paths of storages that are reached by a network: on their way together, so that each does not wait for the one before."""

from collections.abc import Iterable
from concurrent.futures import Executor

from lifecycle.stores import Fingerprint, Store


class Ahead:
    """Looks that are on their way."""

    def __init__(self, threads: Executor, wanted: Iterable[tuple[Store, bytes]]) -> None:
        """Begins to look at every path. Only reads."""
        self._found = {(id(store), path): threads.submit(store.look, path) for store, path in dict.fromkeys(wanted)}

    def look(self, store: Store, path: bytes) -> Fingerprint | None:
        """What is at a path, which is asked for again where it was told already. Raises what `Store.look` does."""
        found = self._found.pop((id(store), path), None)
        return store.look(path) if found is None else found.result()
