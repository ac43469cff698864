"""Of the choices of one act: which one stays, and what is said of those that do not."""

from collections.abc import Mapping
from typing import Any

from lifecycle.draft import Draft


def unfit(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why what lies at a choice's path does not stand for the file that was chosen, by what was read of it last; None where nothing speaks against it.

    A copy may be a version that its key shows no more: what a job would read there is the one that it shows.
    """
    if row["sha256"] is None or row["read_sha256"] is None:
        return ("unknown_digest", "the content of this copy was never read")
    if row["read_sha256"] != row["sha256"]:
        return ("other_content", "it holds another content now, as it was read last; look for its older versions")
    return None


def settle(draft: Draft) -> None:
    """Keep of several choices in `sources` and `looked` the first that nothing speaks against, or else the first."""
    draft.make(
        "dropped",
        """
        SELECT s.id
        FROM sources AS s
        INNER JOIN looked AS l ON s.id = l.id
        QUALIFY row_number() OVER (PARTITION BY s.rank ORDER BY l.reason IS NOT NULL, s.choice) > 1
        """,
    )
    _tell(draft)
    draft.run("DELETE FROM looked WHERE id IN (SELECT id FROM dropped)")
    draft.run("DELETE FROM sources WHERE id IN (SELECT id FROM dropped)")


def _tell(draft: Draft) -> None:
    """Say at what stays why others do not, of three at most: at what is refused of any, at what is taken of those before it that hold another content."""
    draft.make(
        "others",
        """
        SELECT
            kept.id,
            k.reason IS NOT NULL AS is_refused,
            array_to_string(list(s.volume || ':' || s.path || ': ' || l.detail ORDER BY s.choice)[:3], '; ') AS said
        FROM sources AS s
        INNER JOIN dropped AS d ON s.id = d.id
        INNER JOIN looked AS l ON s.id = l.id
        INNER JOIN sources AS kept ON s.rank = kept.rank
        INNER JOIN looked AS k ON kept.id = k.id
        WHERE
            kept.id NOT IN (SELECT id FROM dropped)
            AND (k.reason IS NOT NULL OR (l.reason = 'other_content' AND s.choice < kept.choice))
        GROUP BY kept.id, is_refused
        """,
    )
    draft.run("UPDATE looked SET detail = concat_ws('; ', detail, others.said) FROM others WHERE looked.id = others.id AND others.is_refused")
    draft.run("UPDATE sources SET reason = reason || ', not from ' || others.said FROM others WHERE sources.id = others.id AND NOT others.is_refused")
    draft.run("DROP TABLE others")
