"""A small estate with another host: a file tree, the folder of a host that it is archived to by SFTP, and another archive on a disk."""

from dataclasses import dataclass, field

from tests.lifecycle.chaos.estate import seen
from tests.lifecycle.grounds import Grounds
from tests.scanners.sshd import Server


@dataclass
class Hosts(Grounds):
    """Volumes data and far (trees), and vault: a folder of the host."""

    server: Server = field(default=None)  # type: ignore[assignment]  # always given: fields of the parent have defaults

    def configure(self, more: str = "", **volumes: str) -> None:
        declared = self.server.declared(self.folder / "vault")
        self.configure_around("".join(f"{key} = '{value}'\n" for key, value in declared.items()), more, *volumes.values())

    def ready(self) -> "Hosts":
        self.prepared("data", "vault", "far").scanned()
        return self

    def jobs(self) -> list[str]:
        with self.journal() as journal:
            return [row.job_id for row in journal.jobs()]

    def kept(self) -> dict[bytes, bytes]:
        """What lies on the host, but for what is ours."""
        return seen(self.folder / "vault", own=False)
