"""What is indexed already, as the table knows it: asked before more is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from govc_search.store.table import Table

__all__ = ["Held", "Known", "Sent"]


class Held(NamedTuple):
    """An indexed commit: its position, how deep it was read, why it is incomplete.

    `bare` says that it is a merge without any list of changes.
    """

    position: int
    depth: str
    incomplete: str | None
    bare: bool


class Sent(NamedTuple):
    """An indexed commit that is sent again: as `Held`, with the number of its known parents."""

    position: int
    depth: str
    incomplete: str | None
    bare: bool
    parents: int


class Known:
    """Answers about the repositories in a table; a removed one is not known."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def repositories(self) -> list[Mapping[str, Any]]:
        """Returns the last recorded state of every repository, by name."""
        rows = self._query("SELECT * FROM repositories WHERE to_position IS NULL ORDER BY repo")
        for row in rows:
            for key in ("default_branch", "mailmap"):
                row[key] = row[key].encode() if row[key] is not None else None
        return list(rows)

    def repository(self, repo: str) -> Mapping[str, Any] | None:
        """Returns the last recorded state of a repository, or None for an unknown one."""
        return next((row for row in self.repositories() if row["repo"] == repo), None)

    def refs(self, repo: str) -> dict[str, Mapping[str, Any]]:
        """Returns the refs of a repository by their full names."""
        rows = self._query(
            "SELECT * FROM refs WHERE to_position IS NULL AND repo = $repo", repo=repo
        )
        return {str(r["full_name"]): r for r in rows}

    def commits(self, repo: str) -> dict[str, Held]:
        """Returns the commits of a repository by hash."""
        with self._table.cursor() as cursor:
            rows = cursor.query(
                "SELECT hash, position, depth, incomplete,"
                " len(parents) > 1 AND files_changed IS NULL FROM commits WHERE repo = $repo",
                {"repo": repo},
            )
        hashes, *columns = [c.to_pylist() for c in rows.columns]
        return dict(zip(hashes, map(Held, *columns), strict=True))

    def sent(self, repo: str, hashes: Sequence[str]) -> dict[str, Sent]:
        """Returns those of these commits of a repository that are indexed, by hash."""
        with self._table.cursor() as cursor:
            rows = cursor.query(
                "SELECT hash, position, depth, incomplete,"
                " len(parents) > 1 AND files_changed IS NULL, len(parents) FROM commits"
                " WHERE repo = $repo AND hash IN (SELECT unnest($hashes))",
                {"repo": repo, "hashes": list(hashes)},
            )
        names, *columns = [c.to_pylist() for c in rows.columns]
        return dict(zip(names, map(Sent, *columns), strict=True))

    def count(self, repo: str) -> int:
        """Returns how many commits of a repository are indexed."""
        rows = self._query("SELECT count(*) AS n FROM commits WHERE repo = $repo", repo=repo)
        return int(rows[0]["n"])

    def _query(self, sql: str, **parameters: str) -> list[dict[str, Any]]:
        with self._table.cursor() as cursor:
            rows: list[dict[str, Any]] = cursor.query(sql, parameters).to_pylist()
            return rows
