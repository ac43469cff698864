"""`lastcopy catalog`: what the catalog itself holds."""

from pathlib import Path

import typer

from lastcopy import output, settings

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="The catalog itself.")


@app.command("info", cls=settings.Command)
def info(context: typer.Context) -> None:
    """List the catalog's tables: version (none: not written yet), files, rows and bytes of each."""
    import pyarrow.parquet as pq

    from catalog import table
    from catalog.errors import NotFoundError
    from catalog.schema import TABLES
    from lastcopy import diagnosis

    chosen = settings.of(context)
    root = chosen.root()
    if not root.is_dir():
        raise NotFoundError(f"{diagnosis.escaped(root)}: there is no catalog; run 'lastcopy scan'")
    rows = []
    for name in TABLES:
        files, version = table.files(root, name), table.version(root, name)
        counts = {"rows": sum(pq.read_metadata(path).num_rows for path in files), "bytes": sum(Path(path).stat().st_size for path in files)}
        rows.append({"table": name, "version": version if version >= 0 else None, "files": len(files), **counts})
    output.rows(chosen, "catalog-info", rows)
