"""Every error that Lastcopy raises on purpose.

LastcopyError
├── ConfigError           the configuration or the command line is wrong          exit 2
├── GateError             a gate that the user set is not met                     exit 3
├── RefusedError          safe to do only if the user says so, or never           exit 5
│   └── SpoiledError      what a store has of a commit is not what was sent       exit 5
├── NotFoundError         no such volume, report, snapshot or file                exit 6
├── LockedError           another run holds the lock                              exit 7
├── UnreachableError      a storage cannot be reached                             exit 8
├── MissingExtraError     an optional dependency is not installed                 exit 2
└── CatalogError          the catalog is damaged, unknown, or not writable        exit 1
    ├── ConflictError     another run changed the same files of a table           exit 1
    └── UnderivedError    derived rows are not stored, and may not be written now   exit 1
"""


class LastcopyError(Exception):
    """The root: its text names the file, the volume and what to do."""


class ConfigError(LastcopyError):
    """The configuration or the command line is wrong."""


class GateError(LastcopyError):
    """A gate that the user set is not met."""


class RefusedError(LastcopyError):
    """Refused, because going on could lose data or evidence."""


class SpoiledError(RefusedError):
    """What a store has of a commit is not what was sent, and it does not take that."""


class NotFoundError(LastcopyError):
    """No such volume, report, snapshot or file."""


class LockedError(LastcopyError):
    """Another run holds the lock."""


class UnreachableError(LastcopyError):
    """A storage cannot be reached."""


class MissingExtraError(LastcopyError):
    """An optional dependency is not installed."""


class CatalogError(LastcopyError):
    """The catalog is damaged, may not be written, or is of an unknown format."""


class ConflictError(CatalogError):
    """Another run took away files of a table that were to be replaced: nothing was changed."""


class UnderivedError(CatalogError):
    """The derived rows of a snapshot are not stored, and who asks may not write them."""
