"""A small estate with another host: a file tree, the folder of a host that it is archived to by SFTP or SMB, and another archive on a disk."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog.errors import UnreachableError
from tests.lifecycle.chaos.estate import seen
from tests.lifecycle.grounds import Grounds
from tests.scanners import smbd, sshd


@dataclass
class Hosts(Grounds):
    """Volumes data and far (trees), and vault: a folder of the host."""

    server: sshd.Server | smbd.Server = field(default=None)  # type: ignore[assignment]  # always given: fields of the parent have defaults

    def configure(self, more: str = "", **volumes: str) -> None:
        declared = self.declared()
        self.configure_around("".join(f"{key} = '{value}'\n" for key, value in declared.items()), more, *volumes.values())

    def declared(self) -> dict[str, Any]:
        """The table of the vault. Of a share the folder lies in it."""
        if isinstance(self.server, sshd.Server):
            return self.server.declared(self.folder / "vault")
        return self.server.declared(str((self.folder / "vault").relative_to(self.server.share)))

    def ready(self) -> "Hosts":
        self.prepared("data", "vault", "far").scanned()
        return self

    def jobs(self) -> list[str]:
        with self.journal() as journal:
            return [row.job_id for row in journal.jobs()]

    def archive_and_resume(self, path: str, broken: AbstractContextManager[None], shown: str) -> None:
        """Archive a file while the connection breaks, and go on when it does not any more: nothing is lost, and all is done in the end."""
        made = self.approved("archive", to="vault", where=f"path = '{path}'")
        body, began = Path(os.fsdecode(self.at("data", path))).read_bytes(), self.jobs()
        with broken:
            try:
                came = self.carried_out(made)
            except UnreachableError:
                assert self.jobs() == began, f"{shown}: a job that was begun rests"
            else:
                assert came.counts != {"QUARANTINED": 1}, f"{shown}: {came}"
        assert Path(os.fsdecode(self.at("data", path))).read_bytes() == body
        with self.journal() as journal:
            begun = [row.job_id for row in journal.jobs() if row.plan_id == made.id]
        came = self.resume(begun[0]) if begun else self.carried_out(made)
        assert came.counts == {"QUARANTINED": 1}, f"{shown}: {self.reasons(came.job_id)}"
        assert self.kept()[path.encode()] == body

    def kept(self) -> dict[bytes, bytes]:
        """What lies on the host, but for what is ours."""
        return seen(self.folder / "vault", own=False)
