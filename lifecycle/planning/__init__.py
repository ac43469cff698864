"""The SQL of a plan in the making."""

from pathlib import Path


def sql(name: str) -> str:
    """The text of one statement."""
    return (Path(__file__).parent / f"{name}.sql").read_text("utf-8")
