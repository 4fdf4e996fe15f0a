"""The tables and columns that GQL knows: names, types, help, and how each is had.

A column's `sql` is an expression over its table's `source` (aliased `b`) and the `joins` it
names; a query joins only what its columns need. Counts are stored without sign and read with
one: `insertions - deletions` may be negative. Every source sees the rows at `$as_of` and no
later ones. All this is our own text: nothing a user writes is ever put into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

import pyarrow as pa

from govc_search import conventions, filekinds

__all__ = ["LINE_COLUMNS", "LOOKUPS", "ROW", "STAGES", "TABLES", "TREE", "Column", "Table", "table"]

TEXT = "TEXT"
INTEGER = "INTEGER"
DOUBLE = "DOUBLE"
BOOLEAN = "BOOLEAN"
TIMESTAMP = "TIMESTAMP"
TEXTS = "TEXT[]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its main name, GQL type, one line of help, names from other tools.

    `words` names the fields of the table's text index that hold this column's words, `beside`
    those that hold them among others; `lines` says that the column holds whole changed lines
    (`added`, `removed` or both). `stage` is what has to be read of a tree for it, one of STAGES, or
    `history`.
    """

    name: str
    type: str
    help: str
    aliases: tuple[str, ...] = ()
    sql: str = ""
    joins: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    stage: str | None = None
    beside: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[str, ...]:
        """Returns the fields of the text index in which all words of this column are found."""
        return self.words or self.beside

    @property
    def expression(self) -> str:
        """Returns the SQL of the column over its table's source."""
        return self.sql or f"b.{self.name}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `key` is the column (of the source) that text indexes and graph speak of."""

    name: str
    help: str
    source: str
    columns: tuple[Column, ...]
    aliases: tuple[str, ...] = ()
    joins: dict[str, str] = field(default_factory=dict)
    where: str = ""
    # "commits" or "changes": the text index whose key is `key`.
    index: str | None = None
    key: str | None = None
    # The commit's position, where a row belongs to one.
    position: str | None = None
    order: tuple[str, ...] = ()
    # What each field of the text index holds, as columns that no query can name.
    texts: dict[str, Column] = field(default_factory=dict)
    # The rows are those of a tree, at the revision that the table is given or at HEAD.
    tree: bool = False

    def column(self, name: str) -> Column | None:
        """Returns the column of that name or alias in any case, or None."""
        return _columns(self.name).get(name.lower())


_IDENTITY = (
    "LEFT JOIN identities {0} ON {0}.repo = b.repo AND {0}.name = b.{1} AND {0}.email = b.{1}_email"
)
_VISIBLE = "b.from_position <= CAST($as_of AS UBIGINT) AND (b.to_position IS NULL OR b.to_position > CAST($as_of AS UBIGINT))"
_OWNER = "JOIN changes f ON f.change_id = b.change_id"


def _domain(column: str) -> str:
    return f"CASE WHEN contains({column}, '@') THEN lower(split_part({column}, '@', -1)) END"


# What is read of a tree, from the cheapest on: later stages are read of the rows that are left.
STAGES: Final = ("repo", "tree", "size", "content")
# Stands for the name of the relation that a tree is read into.
TREE: Final = "$tree"
# The number of a row of a tree, as a column that no query can name.
ROW: Final = Column("row", INTEGER, "", stage="repo")

# Relations that joins of columns name, and that every query which joins them is given.
LOOKUPS: Final[dict[str, Callable[[], pa.Table]]] = {"languages": filekinds.languages}

# What the base columns of lines are on either side of a hunk `h` of a change `f`, (removed, added):
# `unnest` makes a row for each line.
LINE_COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "change_id": ("h.change_id", "h.change_id"),
    "repo": ("f.repo", "f.repo"),
    "hash": ("f.hash", "f.hash"),
    "path": ("f.path", "f.path"),
    "hunk": ("hunk", "hunk"),
    "sign": ("-1::TINYINT", "1::TINYINT"),
    "old_line": ("(old_start + unnest(range(old_lines)))::BIGINT", "NULL::BIGINT"),
    "new_line": ("NULL::BIGINT", "(new_start + unnest(range(new_lines)))::BIGINT"),
    "text": ("unnest(string_split(removed, chr(10)))", "unnest(string_split(added, chr(10)))"),
    "ordinal": ("unnest(range(old_lines))", "unnest(range(new_lines))"),
}
_REFS_SOURCE = "refs"
_REF_NAME = (
    "CASE WHEN starts_with(b.full_name, 'refs/heads/') THEN substr(b.full_name, 12)"
    " WHEN starts_with(b.full_name, 'refs/tags/') THEN substr(b.full_name, 11)"
    " WHEN starts_with(b.full_name, 'refs/remotes/') THEN substr(b.full_name, 14)"
    " WHEN starts_with(b.full_name, 'refs/') THEN substr(b.full_name, 6) ELSE b.full_name END"
)
_REF_TYPE = (
    "CASE WHEN starts_with(b.full_name, 'refs/heads/') THEN 'branch'"
    " WHEN starts_with(b.full_name, 'refs/tags/') THEN 'tag'"
    " WHEN starts_with(b.full_name, 'refs/remotes/') THEN 'remote' ELSE 'other' END"
)
_REF_JOINS = {
    "r": (
        "LEFT JOIN repositories r ON r.repo = b.repo AND r.from_position <= CAST($as_of AS UBIGINT)"
        " AND (r.to_position IS NULL OR r.to_position > CAST($as_of AS UBIGINT))"
    )
}

_REPO = Column("repo", TEXT, "name of the repository")
_HASH = ("sha", "commit_id", "commit_hash")


def _person(
    who: str, verb: str, aliases: tuple[str, ...], dates: tuple[str, ...]
) -> tuple[Column, ...]:
    identity = f"{who}_identity"
    return (
        Column(who, TEXT, f"name of who {verb} it, as recorded", aliases, words=(who,)),
        Column(f"{who}_email", TEXT, f"e-mail of who {verb} it, as recorded", beside=(who,)),
        Column(f"{who}_domain", TEXT, f"domain of {who}_email, lower case", sql=_domain(f"b.{who}_email")),
        Column(f"{who}_date", TIMESTAMP, f"when it was {verb}, UTC; NULL outside years 1 to 9999", dates),
        Column(f"{who}_tz", INTEGER, f"offset of the {who}'s clock from UTC, in minutes"),
        Column(f"{who}_mapped", TEXT, f"name of the {who} after the mailmap", sql=f"{identity}.mapped_name", joins=(identity,)),
        Column(f"{who}_email_mapped", TEXT, f"e-mail of the {who} after the mailmap", sql=f"{identity}.mapped_email", joins=(identity,)),
        Column(f"{who}_id", TEXT, f"one id for all names and e-mails of the {who}", sql=f"{identity}.author_id", joins=(identity,)),
    )  # fmt: skip


def _hidden(**texts: str) -> dict[str, Column]:
    return {name: Column(f"{name}_words", TEXT, "", sql=sql) for name, sql in texts.items()}


_COMMIT_TEXTS = _hidden(
    subject="b.subject",
    body="b.body",
    author="concat_ws(' ', b.author, b.author_email)",
    committer="concat_ws(' ', b.committer, b.committer_email)",
    path="(SELECT coalesce(string_agg(concat_ws(chr(10), n.path, n.old_path), chr(10)), '') FROM changes n WHERE n.position = b.position)",
)
_CHANGE_TEXTS = _hidden(
    path="concat_ws(chr(10), b.path, b.old_path)",
    heading="(SELECT coalesce(string_agg(n.heading, chr(10)), '') FROM hunks n WHERE n.change_id = b.change_id)",
    added="(SELECT coalesce(string_agg(n.added, chr(10)), '') FROM hunks n WHERE n.change_id = b.change_id)",
    removed="(SELECT coalesce(string_agg(n.removed, chr(10)), '') FROM hunks n WHERE n.change_id = b.change_id)",
)

COMMITS: Final = Table(
    "commits",
    "commits, one row each",
    "commits",
    (
        Column("position", INTEGER, "place in the log, which orders everything"),
        _REPO,
        Column("hash", TEXT, "full hash", _HASH),
        Column("short_hash", TEXT, "first 12 digits of the hash", sql="left(b.hash, 12)"),
        Column("tree", TEXT, "hash of the tree"),
        Column("parents", TEXTS, "hashes of the parents, in order"),
        Column("parent_count", INTEGER, "number of parents", sql="CAST(b.parent_count AS BIGINT)"),
        Column("is_merge", BOOLEAN, "has two parents or more", sql="(b.parent_count > 1)"),
        Column("is_root", BOOLEAN, "has no parent", sql="(b.parent_count = 0)"),
        Column("subject", TEXT, "first paragraph of the message, on one line", ("title",), words=("subject",)),
        Column("body", TEXT, "the message after the subject", words=("body",)),
        Column("message", TEXT, "the whole message", ("commit_message",), words=("subject", "body")),
        *_person("author", "authored", ("author_name",), ("authored_at", "author_when", "timestamp")),
        *_person("committer", "committed", ("committer_name",), ("committed_at", "committer_when")),
        Column("files_changed", INTEGER, "number of changes; NULL where none were read", sql="CAST(b.files_changed AS BIGINT)"),
        Column("insertions", INTEGER, "lines added; NULL where lines were not read", ("additions",), sql="CAST(b.insertions AS BIGINT)"),
        Column("deletions", INTEGER, "lines removed; NULL where lines were not read", ("removals",), sql="CAST(b.deletions AS BIGINT)"),
        Column("conv_type", TEXT, "type of a conventional commit (feat, fix, docs, ...), lower case, else NULL", sql=conventions.CONV_TYPE),
        Column("conv_scope", TEXT, "scope of a conventional commit, else NULL", sql=f"CASE WHEN {conventions.CONV_TYPE} IS NOT NULL THEN {conventions.CONV_SCOPE} END"),
        Column("is_breaking", BOOLEAN, "a conventional commit with ! or a BREAKING CHANGE", sql=conventions.IS_BREAKING),
        Column("is_revert", BOOLEAN, "takes another commit back", sql=conventions.IS_REVERT),
        Column("reverts", TEXT, "hash of the commit that it says it takes back, as written", sql=conventions.REVERTS),
        Column("cherry_picked_from", TEXT, "hash after 'cherry picked from commit', the last one", sql=conventions.CHERRY_PICKED_FROM),
        Column("patch_id", TEXT, "equal for commits with the same paths, removed and added lines, blanks and context aside; NULL without changes or where not all was read"),
        Column("is_bot", BOOLEAN, "the author's name or e-mail is that of a program", sql=conventions.is_bot("b.author", "b.author_email")),
        Column("signature", TEXT, "kind of signature: gpg, ssh or x509; not verified"),
        Column("depth", TEXT, "what was read of it: none, paths or full"),
        Column("incomplete", TEXT, "why something is missing, beginning with the kind of reason, else NULL"),
        Column("indexed_at", TIMESTAMP, "when it entered the log, UTC"),
    ),
    joins={
        "author_identity": _IDENTITY.format("author_identity", "author"),
        "committer_identity": _IDENTITY.format("committer_identity", "committer"),
    },
    where="b.position <= CAST($as_of AS UBIGINT)",
    index="commits",
    key="b.position",
    position="b.position",
    order=("position",),
    texts=_COMMIT_TEXTS,
)  # fmt: skip

_NAME = "split_part(b.path, '/', -1)"
_EXTENSION = r"nullif(lower(regexp_extract(b.path, '[^/]\.([^./]+)$', 1)), '')"
_PARTS_OF_A_PATH = (
    Column("dir", TEXT, "directory of the path, empty at the top", sql="CASE WHEN contains(b.path, '/') THEN left(b.path, length(b.path) - length(split_part(b.path, '/', -1)) - 1) ELSE '' END"),
    Column("name", TEXT, "last part of the path", sql=_NAME),
    Column("extension", TEXT, "what follows the last dot of the name, lower case, else NULL", sql=_EXTENSION),
    Column("language", TEXT, "language by the file's name, else NULL", ("lang",), sql="coalesce(by_name.language, by_suffix.language)", joins=("by_name", "by_suffix")),
)  # fmt: skip
_KINDS_OF_A_PATH = (
    Column("is_test", BOOLEAN, "the path is that of a test", sql=f"regexp_matches(b.path, '{filekinds.TEST}')"),
    Column("is_vendored", BOOLEAN, "the path is that of somebody else's code kept here", sql=f"regexp_matches(b.path, '{filekinds.VENDORED}')"),
    Column("is_generated", BOOLEAN, "the path is that of a file which a program writes", sql=f"regexp_matches(b.path, '{filekinds.GENERATED}')"),
)  # fmt: skip
_LANGUAGES = {
    "by_name": f"LEFT JOIN languages by_name ON by_name.name = lower({_NAME})",
    "by_suffix": f"LEFT JOIN languages by_suffix ON by_suffix.name = '.' || {_EXTENSION}",
}

CHANGES: Final = Table(
    "changes",
    "changed files, one row for each file of a commit",
    "changes",
    (
        Column("change_id", INTEGER, "names the change; orders as the commits and their files do"),
        Column("position", INTEGER, "the commit's place in the log"),
        _REPO,
        Column("hash", TEXT, "hash of the commit", _HASH),
        Column("path", TEXT, "path after the change (before it, when deleted)", ("file_path", "filename"), words=("path",)),
        Column("old_path", TEXT, "path before a rename or copy, else NULL"),
        *_PARTS_OF_A_PATH,
        Column("change_type", TEXT, "A added, M modified, D deleted, R renamed, C copied, T type changed"),
        Column("similarity", INTEGER, "per cent kept by a rename or copy, else NULL", sql="CAST(b.similarity AS BIGINT)"),
        Column("old_mode", TEXT, "file mode before, octal; NULL when added"),
        Column("new_mode", TEXT, "file mode after, octal; NULL when deleted"),
        Column("old_blob", TEXT, "hash of the content before; NULL when added"),
        Column("new_blob", TEXT, "hash of the content after; NULL when deleted"),
        Column("insertions", INTEGER, "lines added; NULL for binary files and where lines were not read", ("additions",), sql="CAST(b.insertions AS BIGINT)"),
        Column("deletions", INTEGER, "lines removed; NULL for binary files and where lines were not read", ("removals",), sql="CAST(b.deletions AS BIGINT)"),
        Column("is_binary", BOOLEAN, "git treats the file as binary"),
        *_KINDS_OF_A_PATH,
    ),
    joins=_LANGUAGES,
    aliases=("file_changes", "diffs_changes"),
    where="b.position <= CAST($as_of AS UBIGINT)",
    index="changes",
    key="b.change_id",
    position="b.position",
    order=("change_id",),
    texts=_CHANGE_TEXTS,
)  # fmt: skip

_BEFORE = "b.change_id < (CAST($as_of AS UBIGINT) + 1) << 20"

# Position, repository, hash and path come from the change that a hunk belongs to.
_OF_A_HUNK = (
    Column("change_id", INTEGER, "the change it belongs to"),
    Column("position", INTEGER, "the commit's place in the log", sql="(b.change_id >> 20)"),
    Column("repo", TEXT, "name of the repository", sql="f.repo", joins=("f",)),
    Column("hash", TEXT, "hash of the commit", _HASH, sql="f.hash", joins=("f",)),
    Column("path", TEXT, "path of the change", ("file_path", "filename"), sql="f.path", joins=("f",)),
    Column("hunk", INTEGER, "number of the hunk within the change, from 0", sql="CAST(b.hunk AS BIGINT)"),
)  # fmt: skip

HUNKS: Final = Table(
    "hunks",
    "runs of removed and added lines, without context",
    "hunks",
    (
        *_OF_A_HUNK,
        Column("old_start", INTEGER, "first removed line (without any: the line before)", sql="CAST(b.old_start AS BIGINT)"),
        Column("old_lines", INTEGER, "number of removed lines", sql="CAST(b.old_lines AS BIGINT)"),
        Column("new_start", INTEGER, "first added line (without any: the line before)", sql="CAST(b.new_start AS BIGINT)"),
        Column("new_lines", INTEGER, "number of added lines", sql="CAST(b.new_lines AS BIGINT)"),
        Column("heading", TEXT, "the line git shows after @@, most often the function", words=("heading",)),
        Column("removed", TEXT, "the removed lines; NULL without any", lines=("removed",)),
        Column("added", TEXT, "the added lines; NULL without any", lines=("added",)),
    ),
    joins={"f": _OWNER},
    where=_BEFORE,
    index="changes",
    key="b.change_id",
    position="(b.change_id >> 20)",
    order=("change_id", "hunk"),
)  # fmt: skip

LINES: Final = Table(
    "lines",
    "removed and added lines, one row each",
    "hunks",
    (
        # The change is joined before a hunk is cut into lines, of which there are many.
        *(replace(c, sql=c.sql.replace("f.", "b."), joins=()) for c in _OF_A_HUNK),
        Column("sign", INTEGER, "+1 for an added line, -1 for a removed one"),
        Column("old_line", INTEGER, "line number before; NULL for added lines"),
        Column("new_line", INTEGER, "line number after; NULL for removed lines"),
        Column("text", TEXT, "the line, without its end", ("line",), lines=("added", "removed")),
    ),
    aliases=("line_changes",),
    where=_BEFORE,
    index="changes",
    key="b.change_id",
    position="(b.change_id >> 20)",
    order=("change_id", "hunk", "sign", "old_line", "new_line"),
)  # fmt: skip

_COMMITTED = "position <= CAST($as_of AS UBIGINT)"
_AUTHORS = f"""(SELECT author_id, arg_max(mapped_name, n) AS name, arg_max(mapped_email, n) AS email,
    list_sort(list(DISTINCT concat(i.name, ' <', i.email, '>'))) AS aliases,
    min(first) AS first_date, max(last) AS last_date, CAST(sum(n) AS BIGINT) AS commits
    FROM (SELECT repo, author AS name, author_email AS email, count(*) AS n,
            min(author_date) AS first, max(author_date) AS last
            FROM commits WHERE {_COMMITTED} GROUP BY ALL
        UNION ALL SELECT DISTINCT repo, committer, committer_email, 0, NULL, NULL
            FROM commits WHERE {_COMMITTED})
    JOIN identities i USING (repo, name, email) GROUP BY author_id)"""


def _links(kind: str, sign: str | None, pattern: str, excepted: str) -> str:
    where = _COMMITTED + (f" AND contains(message, '{sign}')" if sign else "")
    targets = f"list_distinct(regexp_extract_all(message, '{pattern}', 1))"
    if excepted:
        targets = f"list_filter({targets}, lambda t: NOT regexp_matches(t, '{excepted}'))"
    return (
        f"SELECT position, repo, hash, '{kind}' AS kind, unnest({targets}) AS target"
        f" FROM commits WHERE {where}"
    )


_LINKS = "(" + " UNION ALL ".join(_links(*link) for link in conventions.LINKS) + ")"

_REF_COLUMNS = (
    _REPO,
    Column("name", TEXT, "short name", sql=_REF_NAME),
    Column("full_name", TEXT, "full name, such as refs/heads/main"),
    Column("type", TEXT, "branch, tag, remote or other", sql=_REF_TYPE),
    Column("hash", TEXT, "what it names: a commit, or the tag object", _HASH),
    Column("peeled", TEXT, "the commit that it leads to"),
    Column("is_head", BOOLEAN, "HEAD names this branch", sql="coalesce(r.default_branch = b.full_name, FALSE)", joins=("r",)),
    Column("is_remote", BOOLEAN, "a remote-tracking branch", sql="starts_with(b.full_name, 'refs/remotes/')"),
)  # fmt: skip

# A commit touched what it changed, and what it moved away.
_TOUCHED = f"""LEFT JOIN (SELECT p.repo, p.path, arg_min(p.position, o.ordinal) AS position
    FROM (SELECT repo, path, position FROM changes
        UNION ALL SELECT repo, old_path, position FROM changes WHERE change_type = 'R') p
    JOIN {TREE}_history o ON o.id = p.position GROUP BY p.repo, p.path) touched
    ON touched.repo = b.repo AND touched.path = b.path
    LEFT JOIN commits last ON last.position = touched.position"""
_LINES_OF_A_FILE = """(strlen(b.content) - strlen(replace(b.content, chr(10), ''))
    + CASE WHEN b.content = '' OR suffix(b.content, chr(10)) THEN 0 ELSE 1 END)"""


def _of_a_tree(*columns: Column) -> tuple[Column, ...]:
    return tuple(replace(c, stage="tree") for c in columns)


_OF_A_FILE = (
    replace(_REPO, stage="repo"),
    *_of_a_tree(
        Column("path", TEXT, "path of the file", ("file_path", "filename")),
        *_PARTS_OF_A_PATH,
        Column("mode", TEXT, "file mode, octal: 100644, 100755 executable, 120000 symlink, 160000 submodule"),
        Column("type", TEXT, "file, symlink or submodule", sql="CASE b.mode WHEN '120000' THEN 'symlink' WHEN '160000' THEN 'submodule' ELSE 'file' END"),
        Column("blob", TEXT, "hash of the content; of a submodule, that of its commit"),
    ),
    Column("size", INTEGER, "bytes of the content; NULL for submodules and what is missing", ("bytes",), stage="size"),
    *_of_a_tree(*_KINDS_OF_A_PATH),
)  # fmt: skip

TABLES: Final[tuple[Table, ...]] = (
    Table(
        "repos",
        "indexed repositories",
        "repositories",
        (
            _REPO,
            Column("url", TEXT, "where it was read from"),
            Column("default_branch", TEXT, "the branch that HEAD names; NULL when detached", sql="CASE WHEN starts_with(b.default_branch, 'refs/heads/') THEN substr(b.default_branch, 12) ELSE b.default_branch END"),
            Column("head", TEXT, "commit at HEAD"),
            Column("commit_count", INTEGER, "number of indexed commits", sql="(SELECT count(*) FROM commits n WHERE n.repo = b.repo AND n.position <= CAST($as_of AS UBIGINT))"),
            Column("indexed_at", TIMESTAMP, "when indexing it last brought something new, UTC"),
            Column("diffs", TEXT, "how deep it is read: none, paths or full"),
        ),
        where=_VISIBLE,
        order=("repo",),
    ),
    COMMITS,
    Table(
        "commit_parents",
        "parents of commits, one row each",
        "commit_parents",
        (
            Column("position", INTEGER, "the commit's place in the log"),
            _REPO,
            Column("hash", TEXT, "hash of the commit", _HASH),
            Column("parent", TEXT, "hash of the parent"),
            Column("ordinal", INTEGER, "number of the parent, from 0", sql="CAST(b.ordinal AS BIGINT)"),
        ),
        where="b.position <= CAST($as_of AS UBIGINT)",
        position="b.position",
        order=("position", "ordinal"),
    ),
    CHANGES,
    HUNKS,
    LINES,
    Table("refs", "branches, tags and all other refs, as they are now", _REFS_SOURCE, _REF_COLUMNS, joins=_REF_JOINS, where=_VISIBLE, order=("repo", "full_name")),
    Table("branches", "the refs that are branches", _REFS_SOURCE, _REF_COLUMNS, joins=_REF_JOINS, where=f"{_VISIBLE} AND starts_with(b.full_name, 'refs/heads/')", order=("repo", "full_name")),
    Table(
        "tags",
        "the refs that are tags, with what annotated ones say",
        _REFS_SOURCE,
        (
            *_REF_COLUMNS,
            Column("tagger", TEXT, "name of who made the tag"),
            Column("tagger_email", TEXT, "e-mail of who made the tag"),
            Column("tagged_at", TIMESTAMP, "when the tag was made, UTC"),
            Column("message", TEXT, "message of the tag"),
            Column("is_annotated", BOOLEAN, "has a tag object", sql="(b.object_type = 'tag')"),
        ),
        joins=_REF_JOINS,
        where=f"{_VISIBLE} AND starts_with(b.full_name, 'refs/tags/')",
        order=("repo", "full_name"),
    ),
    Table(
        "ref_commits",
        "which commits a ref reaches, one row each; of branches and tags unless ref, name or hash is given",
        "ref_commits",
        (
            _REPO,
            Column("ref", TEXT, "full name of the ref, such as refs/heads/main"),
            Column("name", TEXT, "short name of the ref", sql=_REF_NAME.replace("b.full_name", "b.ref")),
            Column("hash", TEXT, "hash of the commit", _HASH, sql="c.hash", joins=("c",)),
            Column("position", INTEGER, "the commit's place in the log", sql="b.id"),
        ),
        joins={"c": "JOIN commits c ON c.position = b.id"},
        position="b.id",
        order=("repo", "ref", "position"),
    ),
    Table(
        "ref_updates",
        "every movement of a ref that indexing saw",
        "ref_updates",
        (
            Column("position", INTEGER, "place in the log"),
            _REPO,
            Column("ref", TEXT, "full name of the ref"),
            Column("old_hash", TEXT, "where it was; NULL when new"),
            Column("new_hash", TEXT, "where it is; NULL when deleted"),
            Column("forced", BOOLEAN, "the new place does not contain the old one"),
            Column("at", TIMESTAMP, "when it was seen, UTC"),
        ),
        where="b.position <= CAST($as_of AS UBIGINT)",
        order=("position",),
    ),
    Table(
        "trailers",
        "trailers of commit messages, one row each",
        "trailers",
        (
            Column("position", INTEGER, "the commit's place in the log"),
            _REPO,
            Column("hash", TEXT, "hash of the commit", _HASH),
            Column("key", TEXT, "what stands before the colon, such as Signed-off-by"),
            Column("value", TEXT, "what stands after it"),
            Column("name", TEXT, "the name, where the value is Name <e-mail>"),
            Column("email", TEXT, "the e-mail, where the value is Name <e-mail>"),
            Column("ordinal", INTEGER, "number within the commit, from 0", sql="CAST(b.ordinal AS BIGINT)"),
        ),
        where="b.position <= CAST($as_of AS UBIGINT)",
        position="b.position",
        order=("position", "ordinal"),
    ),
    Table(
        "authors",
        "people, one row for all names and e-mails that a mailmap or an equal e-mail joins",
        _AUTHORS,
        (
            Column("author_id", TEXT, "what author_id and committer_id of commits name"),
            Column("name", TEXT, "the name after the mailmap, the most used one", ("author",)),
            Column("email", TEXT, "the e-mail after the mailmap, the most used one"),
            Column("aliases", TEXTS, "every name and e-mail as recorded"),
            Column("domain", TEXT, "domain of the e-mail, lower case", sql=_domain("b.email")),
            Column("is_bot", BOOLEAN, "name or e-mail is that of a program", sql=conventions.is_bot("b.name", "b.email")),
            Column("first_date", TIMESTAMP, "author date of the first commit, UTC; NULL if never an author"),
            Column("last_date", TIMESTAMP, "author date of the last commit, UTC; NULL if never an author"),
            Column("commits", INTEGER, "number of commits as author"),
        ),
        aliases=("people",),
        order=("author_id",),
    ),
    Table(
        "links",
        "what commit messages refer to, one row for each target",
        _LINKS,
        (
            Column("position", INTEGER, "the commit's place in the log"),
            _REPO,
            Column("hash", TEXT, "hash of the commit", _HASH),
            Column("kind", TEXT, "issue, cve, url, fixes, reverts or cherry_pick"),
            Column("target", TEXT, "what is named, as written: #12, JIRA-34, CVE-2024-1234, a hash, an address"),
        ),
        position="b.position",
        order=("position", "kind", "target"),
    ),
    Table(
        "files",
        "files of a tree, read from the repository itself: files, or files('v1.0'), at HEAD or a revision",
        TREE,
        (
            *_OF_A_FILE,
            Column("last_modified", TIMESTAMP, "committer date of the last commit that touched the path, merges left out, UTC", sql="last.committer_date", joins=("touched",), stage="history"),
            Column("last_commit", TEXT, "hash of that commit", sql="last.hash", joins=("touched",), stage="history"),
        ),
        joins={**_LANGUAGES, "touched": _TOUCHED},
        order=("repo", "path"),
        tree=True,
    ),
    Table(
        "content",
        "what the files of a tree hold: content, or content('v1.0'), at HEAD or a revision",
        TREE,
        (
            *_OF_A_FILE,
            Column("is_binary", BOOLEAN, "a zero byte among the first 8000, as git has it; NULL for submodules and what is missing", stage="content"),
            Column("lines", INTEGER, "number of lines; NULL where content is", sql=_LINES_OF_A_FILE, stage="content"),
            Column("content", TEXT, "the text, invalid UTF-8 as U+FFFD; NULL for binary files, submodules and what is missing", ("text",), stage="content"),
        ),
        joins=_LANGUAGES,
        order=("repo", "path"),
        tree=True,
    ),
)  # fmt: skip


@cache
def _columns(table_name: str) -> dict[str, Column]:
    result: dict[str, Column] = {}
    for t in TABLES:
        if t.name == table_name:
            for c in t.columns:
                for name in (c.name, *c.aliases):
                    result.setdefault(name, c)
    return result


_BY_NAME: Final = {name: t for t in TABLES for name in (t.name, *t.aliases)}


def table(name: str) -> Table | None:
    """Returns the table of that name or alias in any case, or None."""
    return _BY_NAME.get(name.lower())
