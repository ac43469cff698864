"""Looks at many paths of storages that are reached by a network: on their way together, so that each does not wait for the one before."""

from collections.abc import Iterable
from concurrent.futures import Executor

from lifecycle.stores import Fingerprint, Store


class Ahead:
    """Looks that are on their way."""

    def __init__(self, threads: Executor, wanted: Iterable[tuple[Store, bytes]], *, lasting: bool = False) -> None:
        """Begins to look at every path. Only reads. `lasting`: what was found is told again to who asks again."""
        self._lasting = lasting
        self._found = {(id(store), path): threads.submit(store.look, path) for store, path in dict.fromkeys(wanted)}

    def look(self, store: Store, path: bytes) -> Fingerprint | None:
        """What is at a path: what was found ahead, once unless that lasts, else what is there now. Raises what `Store.look` does."""
        found = self._found.get((id(store), path)) if self._lasting else self._found.pop((id(store), path), None)
        return store.look(path) if found is None else found.result()

    def drop(self) -> None:
        """Begin no look any more that nobody asked for."""
        for found in self._found.values():
            found.cancel()
