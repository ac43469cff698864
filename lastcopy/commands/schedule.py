"""`lastcopy schedule`: what runs when, running it now, and the unit that keeps it running."""

import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from lastcopy import extras, output, settings

if TYPE_CHECKING:
    from catalog.config import Config

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="What runs when nobody looks.")

_UNIT = """\
[Unit]
Description=Lastcopy: dashboard, API, schedule
Wants=network-online.target
After=network-online.target

[Service]
User={user}
WorkingDirectory={folder}
Environment=LASTCOPY_CONFIG={config}
ExecStart={python} -m lastcopy serve --log-json
Restart=on-failure
# SIGTERM interrupts a running scan or job, which the next start goes on with.
KillMode=mixed
TimeoutStopSec=90
AmbientCapabilities=CAP_DAC_READ_SEARCH
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={written}
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


@app.command("list", cls=settings.Command)
def list_tasks(context: typer.Context) -> None:
    """List the tasks of [schedule]: when each is due next, and how it ended last; 'interrupted' goes on when the service starts."""
    extras.need("serve", "apscheduler")
    from lastcopy.service import schedule, tasks

    chosen = settings.of(context)
    config = chosen.configuration()
    rows = []
    for name, task in config.schedule.items():
        found = tasks.read(settings.root_of(config), name)
        following = schedule.next_after(name, task, schedule.now())
        rows.append(
            {
                "task": name,
                "run": task.run,
                "cron": task.cron,
                "timezone": task.timezone,
                "next_at": following and tasks.stamp(following),
                "state": tasks.state(settings.root_of(config), name, found),
                "started_at": found and found.started_at,
                "ended_at": found and found.ended_at,
                "code": found and found.code,
            }
        )
    output.rows(chosen, "schedule-list", rows)


@app.command("run", cls=settings.Command)
def run(context: typer.Context, name: Annotated[str, typer.Argument(metavar="TASK", help="A name of [schedule].", show_default=False)]) -> None:
    """Run a task now, as the service would, and end with its exit code. Exit 7 where it runs already."""
    extras.need("serve", "apscheduler", "structlog")
    from catalog.errors import NotFoundError
    from lastcopy.service import schedule

    chosen = settings.of(context)
    config = chosen.configuration()
    if name not in config.schedule:
        raise NotFoundError(f"there is no task {name!r}; tasks are {', '.join(config.schedule) or 'none: write a table [schedule.NAME]'}")
    code = schedule.Runner(lambda: config, schedule.flags(chosen)).run(name, sys.stdout.fileno())
    if code:
        raise typer.Exit(code)


@app.command("install", cls=settings.Command)
def install(
    context: typer.Context, user: Annotated[str, typer.Option("--user", metavar="NAME", help="The account that the service runs as.")] = "lastcopy"
) -> None:
    """Print the systemd unit that keeps 'lastcopy serve' running; writes nothing."""
    chosen = settings.of(context)
    config = chosen.configuration()
    folders = list(dict.fromkeys([str(settings.root_of(config)), *_written_to(config)]))
    written = (user, sys.executable, str(config.folder), str(config.path), *folders)
    if strange := [text for text in written if not text or set(text) & set(" %\"'\\\n")]:
        from catalog.errors import ConfigError

        raise ConfigError(f"{strange[0]}: a unit cannot name what has blanks, quotes, '%' or '\\'")
    output.text(chosen, _UNIT.format(user=user, folder=config.folder, config=config.path, python=sys.executable, written=" ".join(folders)))


def _written_to(config: "Config") -> Iterator[str]:
    """The folders of the files that tasks write."""
    from catalog.services import written

    for task in config.schedule.values():
        if file := written(shlex.split(task.run)):
            yield str(next(folder for folder in (config.folder / file).parents if "{day}" not in str(folder)))
