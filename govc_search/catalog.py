"""The tables, columns and functions that GQL knows: names, types, help, and how each is had.

A column's `sql` is an expression over its table's `source` (aliased `b`) and the `joins` it
names; a query joins only what its columns need. Counts are stored without sign and read with
one: `insertions - deletions` may be negative. Every source sees the rows at `$as_of` and no
later ones. All this is our own text: nothing a user writes is ever put into it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

__all__ = [
    "FUNCTIONS",
    "LINE_COLUMNS",
    "TABLES",
    "Column",
    "Function",
    "Table",
    "function",
    "table",
]

TEXT = "TEXT"
INTEGER = "INTEGER"
DOUBLE = "DOUBLE"
BOOLEAN = "BOOLEAN"
TIMESTAMP = "TIMESTAMP"
TEXTS = "TEXT[]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its main name, GQL type, one line of help, names from other tools.

    `words` names the fields of the table's text index that hold this column's words, and
    `lines` says that the column holds whole changed lines (`added`, `removed` or both).
    """

    name: str
    type: str
    help: str
    aliases: tuple[str, ...] = ()
    sql: str = ""
    joins: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

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


# What the base columns of lines are on either side of a hunk, (removed, added): `unnest` makes a
# row for each line.
LINE_COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "change_id": ("change_id", "change_id"),
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
        Column(f"{who}_email", TEXT, f"e-mail of who {verb} it, as recorded"),
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
        Column("parent_count", INTEGER, "number of parents", sql="len(b.parents)"),
        Column("is_merge", BOOLEAN, "has two parents or more", sql="(len(b.parents) > 1)"),
        Column("is_root", BOOLEAN, "has no parent", sql="(len(b.parents) = 0)"),
        Column("subject", TEXT, "first paragraph of the message, on one line", ("title",), words=("subject",)),
        Column("body", TEXT, "the message after the subject", words=("body",)),
        Column("message", TEXT, "the whole message", ("commit_message",), words=("subject", "body")),
        *_person("author", "authored", ("author_name",), ("authored_at", "author_when", "timestamp")),
        *_person("committer", "committed", ("committer_name",), ("committed_at", "committer_when")),
        Column("files_changed", INTEGER, "number of changes; NULL where none were read", sql="CAST(b.files_changed AS BIGINT)"),
        Column("insertions", INTEGER, "lines added; NULL where lines were not read", ("additions",), sql="CAST(b.insertions AS BIGINT)"),
        Column("deletions", INTEGER, "lines removed; NULL where lines were not read", ("removals",), sql="CAST(b.deletions AS BIGINT)"),
        Column("signature", TEXT, "kind of signature: gpg, ssh or x509; not verified"),
        Column("depth", TEXT, "what was read of it: none, paths or full"),
        Column("incomplete", TEXT, "why something is missing, else NULL"),
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
        Column("dir", TEXT, "directory of the path, empty at the top", sql="CASE WHEN contains(b.path, '/') THEN left(b.path, length(b.path) - length(split_part(b.path, '/', -1)) - 1) ELSE '' END"),
        Column("name", TEXT, "last part of the path", sql="split_part(b.path, '/', -1)"),
        Column("extension", TEXT, "what follows the last dot of the name, lower case, else NULL", sql="nullif(lower(regexp_extract(b.path, '[^/]\\.([^./]+)$', 1)), '')"),
        Column("change_type", TEXT, "A added, M modified, D deleted, R renamed, C copied, T type changed"),
        Column("similarity", INTEGER, "per cent kept by a rename or copy, else NULL", sql="CAST(b.similarity AS BIGINT)"),
        Column("old_mode", TEXT, "file mode before, octal; NULL when added"),
        Column("new_mode", TEXT, "file mode after, octal; NULL when deleted"),
        Column("old_blob", TEXT, "hash of the content before; NULL when added"),
        Column("new_blob", TEXT, "hash of the content after; NULL when deleted"),
        Column("insertions", INTEGER, "lines added; NULL for binary files and where lines were not read", ("additions",), sql="CAST(b.insertions AS BIGINT)"),
        Column("deletions", INTEGER, "lines removed; NULL for binary files and where lines were not read", ("removals",), sql="CAST(b.deletions AS BIGINT)"),
        Column("is_binary", BOOLEAN, "git treats the file as binary"),
    ),
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
        *_OF_A_HUNK,
        Column("sign", INTEGER, "+1 for an added line, -1 for a removed one"),
        Column("old_line", INTEGER, "line number before; NULL for added lines"),
        Column("new_line", INTEGER, "line number after; NULL for removed lines"),
        Column("text", TEXT, "the line, without its end", ("line",), lines=("added", "removed")),
    ),
    aliases=("line_changes",),
    joins={"f": _OWNER},
    where=_BEFORE,
    index="changes",
    key="b.change_id",
    position="(b.change_id >> 20)",
    order=("change_id", "hunk", "sign", "old_line", "new_line"),
)  # fmt: skip

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
            Column("indexed_at", TIMESTAMP, "when it was last indexed, UTC"),
            Column("diffs", TEXT, "how deep it is read: none, paths or full"),
        ),
        where=_VISIBLE,
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
    Table("refs", "branches, tags and all other refs, as they are now", _REFS_SOURCE, _REF_COLUMNS, joins=_REF_JOINS, where=_VISIBLE),
    Table("branches", "the refs that are branches", _REFS_SOURCE, _REF_COLUMNS, joins=_REF_JOINS, where=f"{_VISIBLE} AND starts_with(b.full_name, 'refs/heads/')"),
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


# Functions


@dataclass(frozen=True, slots=True)
class Function:
    """A function: argument types, result type, help, and its SQL over `{0}`, `{1}`, ...

    Types: TEXT, INTEGER, DOUBLE (any number), BOOLEAN, TIMESTAMP (or date), DATE, INTERVAL,
    LIST, ANY; `PART` is a constant such as 'month'. `optional` counts trailing arguments that
    may be left out, `variadic` repeats the last. `returns` may be `=0`: the type of argument 0.
    `kind`: scalar, aggregate, window, text or graph (the last two are compiled by hand).
    """

    name: str
    args: tuple[str, ...]
    returns: str
    help: str
    sql: str = ""
    optional: int = 0
    variadic: bool = False
    kind: str = "scalar"
    aliases: tuple[str, ...] = ()
    # A constant integer argument may not exceed this: (argument, limit).
    bounded: tuple[int, int] | None = None

    @property
    def signature(self) -> str:
        """Returns the call as people write it."""
        required = len(self.args) - self.optional
        names = [a.lower() if i < required else f"[{a.lower()}]" for i, a in enumerate(self.args)]
        more = ", ..." if self.variadic else ""
        result = self.args[int(self.returns[1:])] if self.returns[0] == "=" else self.returns
        return f"{self.name}({', '.join(names)}{more}) -> {result}"


def _f(name: str, args: str, returns: str, help_: str, sql: str = "", **more: object) -> Function:
    words = tuple(args.split())
    optional = sum(1 for w in words if w.endswith("?"))
    variadic = bool(words) and words[-1].endswith("...")
    clean = tuple(w.rstrip("?.") for w in words)
    return Function(name, clean, returns, help_, sql, optional, variadic, **more)  # type: ignore[arg-type]


FUNCTIONS: Final[tuple[Function, ...]] = (
    # Text
    _f("lower", "TEXT", TEXT, "in lower case"),
    _f("upper", "TEXT", TEXT, "in upper case"),
    _f("length", "TEXT", INTEGER, "number of characters", aliases=("char_length",)),
    _f("trim", "TEXT TEXT?", TEXT, "without blanks (or the given characters) at both ends"),
    _f("ltrim", "TEXT TEXT?", TEXT, "without blanks at the left"),
    _f("rtrim", "TEXT TEXT?", TEXT, "without blanks at the right"),
    _f("left", "TEXT INTEGER", TEXT, "the first characters"),
    _f("right", "TEXT INTEGER", TEXT, "the last characters"),
    _f("substr", "TEXT INTEGER INTEGER?", TEXT, "part of a text, from 1", aliases=("substring",)),
    _f("replace", "TEXT TEXT TEXT", TEXT, "with every occurrence replaced"),
    _f("split_part", "TEXT TEXT INTEGER", TEXT, "the n-th part between separators"),
    _f("split", "TEXT TEXT", TEXTS, "the parts between separators", "string_split({0}, {1})", aliases=("string_split",)),
    _f("strpos", "TEXT TEXT", INTEGER, "where a text begins in another, from 1; 0 if nowhere", aliases=("instr",)),
    _f("reverse", "TEXT", TEXT, "backwards"),
    _f("concat", "ANY...", TEXT, "joined together; NULLs are left out"),
    _f("concat_ws", "TEXT ANY...", TEXT, "joined with a separator; NULLs are left out"),
    _f("lpad", "TEXT INTEGER TEXT", TEXT, "padded at the left to a length", bounded=(1, 10_000)),
    _f("rpad", "TEXT INTEGER TEXT", TEXT, "padded at the right to a length", bounded=(1, 10_000)),
    _f("regexp_extract", "TEXT PATTERN INTEGER?", TEXT, "what a regular expression (or its group) matched"),
    _f("regexp_replace", "TEXT PATTERN TEXT", TEXT, "with every match of a regular expression replaced", "regexp_replace({0}, {1}, {2}, 'g')"),
    _f("starts_with", "TEXT TEXT", BOOLEAN, "begins with"),
    _f("ends_with", "TEXT TEXT", BOOLEAN, "ends with", "suffix({0}, {1})"),
    _f("levenshtein", "TEXT TEXT", INTEGER, "edit distance of two texts"),
    _f("md5", "TEXT", TEXT, "MD5 digest, hexadecimal"),
    # Numbers
    _f("abs", "DOUBLE", "=0", "without sign"),
    _f("round", "DOUBLE INTEGER?", DOUBLE, "rounded to a number of decimals"),
    _f("floor", "DOUBLE", DOUBLE, "the whole number below"),
    _f("ceil", "DOUBLE", DOUBLE, "the whole number above", aliases=("ceiling",)),
    _f("sqrt", "DOUBLE", DOUBLE, "square root; NULL below zero", "CASE WHEN {0} >= 0 THEN sqrt({0}) END"),
    _f("ln", "DOUBLE", DOUBLE, "natural logarithm; NULL unless above zero", "CASE WHEN {0} > 0 THEN ln({0}) END"),
    _f("log10", "DOUBLE", DOUBLE, "decimal logarithm; NULL unless above zero", "CASE WHEN {0} > 0 THEN log10({0}) END"),
    _f("power", "DOUBLE DOUBLE", DOUBLE, "raised to a power", aliases=("pow",)),
    _f("sign", "DOUBLE", INTEGER, "-1, 0 or 1"),
    _f("mod", "DOUBLE DOUBLE", "=0", "remainder"),
    # Conditions
    _f("coalesce", "ANY...", "=0", "the first that is not NULL"),
    _f("nullif", "ANY ANY", "=0", "NULL if both are equal, else the first"),
    _f("ifnull", "ANY ANY", "=0", "the second if the first is NULL"),
    _f("greatest", "ANY...", "=0", "the largest"),
    _f("least", "ANY...", "=0", "the smallest"),
    _f("if", "BOOLEAN ANY ANY", "=1", "the second if the first is true, else the third", "CASE WHEN {0} THEN {1} ELSE {2} END"),
    # Lists
    _f("len", "ANY", INTEGER, "length of a list or text"),
    _f("list_contains", "LIST ANY", BOOLEAN, "the list holds the value", aliases=("array_contains", "has")),
    _f("list_position", "LIST ANY", INTEGER, "where the list holds the value, from 1"),
    _f("list_distinct", "LIST", "=0", "without repeats, in no order"),
    _f("list_sort", "LIST", "=0", "in order"),
    _f("array_to_string", "LIST TEXT", TEXT, "the items joined with a separator"),
    _f("unnest", "LIST", "ANY", "a row for each item"),
    # Time
    _f("now", "", TIMESTAMP, "this moment, UTC", "$now"),
    _f("current_date", "", "DATE", "today, UTC", "CAST($now AS DATE)"),
    _f("ago", "INTERVAL", TIMESTAMP, "that long before now: AGO('2 weeks')", "($now - CAST({0} AS INTERVAL))"),
    _f("date_trunc", "PART TIMESTAMP", TIMESTAMP, "the beginning of the year, quarter, month, week, day, hour, ...", "CAST(date_trunc({0}, {1}) AS TIMESTAMP)"),
    _f("date_part", "PART TIMESTAMP", INTEGER, "the year, month, day, hour, dow, ... as a number", aliases=("datepart",)),
    _f("date_diff", "PART TIMESTAMP TIMESTAMP", INTEGER, "number of boundaries between two times", aliases=("datediff",)),
    _f("time_bucket", "INTERVAL TIMESTAMP", TIMESTAMP, "the beginning of the interval that holds the time", "time_bucket(CAST({0} AS INTERVAL), {1})"),
    _f("strftime", "TIMESTAMP TEXT", TEXT, "formatted: strftime(author_date, '%Y-%m')"),
    _f("year", "TIMESTAMP", INTEGER, "the year"),
    _f("quarter", "TIMESTAMP", INTEGER, "the quarter, 1 to 4"),
    _f("month", "TIMESTAMP", INTEGER, "the month, 1 to 12"),
    _f("week", "TIMESTAMP", INTEGER, "the ISO week"),
    _f("day", "TIMESTAMP", INTEGER, "the day of the month"),
    _f("hour", "TIMESTAMP", INTEGER, "the hour"),
    _f("minute", "TIMESTAMP", INTEGER, "the minute"),
    _f("dayname", "TIMESTAMP", TEXT, "name of the week day"),
    _f("monthname", "TIMESTAMP", TEXT, "name of the month"),
    _f("epoch", "TIMESTAMP", INTEGER, "seconds since 1970", "CAST(epoch({0}) AS BIGINT)"),
    _f("local", "TIMESTAMP INTEGER", TIMESTAMP, "the person's own clock: LOCAL(author_date, author_tz)", "({0} + to_minutes({1}))"),
    # Aggregates
    _f("count", "ANY?", INTEGER, "number of rows, or of values that are not NULL", kind="aggregate"),
    _f("sum", "DOUBLE", "=0", "sum", kind="aggregate"),
    _f("avg", "DOUBLE", DOUBLE, "mean", kind="aggregate", aliases=("mean",)),
    _f("min", "ANY", "=0", "smallest", kind="aggregate"),
    _f("max", "ANY", "=0", "largest", kind="aggregate"),
    _f("median", "ANY", "=0", "the one in the middle", kind="aggregate"),
    _f("mode", "ANY", "=0", "the most frequent", kind="aggregate"),
    _f("quantile", "ANY DOUBLE", "=0", "the value below which a share lies", "quantile_disc({0}, {1})", kind="aggregate"),
    _f("stddev", "DOUBLE", DOUBLE, "standard deviation", kind="aggregate"),
    _f("any_value", "ANY", "=0", "some value", kind="aggregate"),
    _f("arg_max", "ANY ANY", "=0", "the first where the second is largest", kind="aggregate"),
    _f("arg_min", "ANY ANY", "=0", "the first where the second is smallest", kind="aggregate"),
    _f("string_agg", "TEXT TEXT", TEXT, "joined with a separator", kind="aggregate"),
    _f("list", "ANY", "LIST", "all values as a list", kind="aggregate", aliases=("array_agg",)),
    _f("approx_count_distinct", "ANY", INTEGER, "about how many different values", kind="aggregate"),
    _f("bool_and", "BOOLEAN", BOOLEAN, "true for all", kind="aggregate"),
    _f("bool_or", "BOOLEAN", BOOLEAN, "true for any", kind="aggregate"),
    # Windows
    _f("row_number", "", INTEGER, "number of the row in its window", kind="window"),
    _f("rank", "", INTEGER, "rank with gaps", kind="window"),
    _f("dense_rank", "", INTEGER, "rank without gaps", kind="window"),
    _f("percent_rank", "", DOUBLE, "rank from 0 to 1", kind="window"),
    _f("ntile", "INTEGER", INTEGER, "number of the bucket", kind="window"),
    _f("lag", "ANY INTEGER? ANY?", "=0", "the value some rows before", kind="window"),
    _f("lead", "ANY INTEGER? ANY?", "=0", "the value some rows after", kind="window"),
    _f("first_value", "ANY", "=0", "the first value of the frame", kind="window"),
    _f("last_value", "ANY", "=0", "the last value of the frame", kind="window"),
    _f("nth_value", "ANY INTEGER", "=0", "the n-th value of the frame", kind="window"),
    # Text predicates; most take an optional table alias first.
    _f("match", "COLUMN PATTERN", BOOLEAN, "the column matches a query of words, phrases, word~, pre*, /re/", kind="text"),
    _f("search", "ALIAS? PATTERN", BOOLEAN, "two thirds of the words occur, exactly or nearly", kind="text"),
    _f("phrase", "COLUMN PATTERN INTEGER?", BOOLEAN, "the words occur in order, with so many others between", kind="text"),
    _f("fuzzy", "COLUMN PATTERN INTEGER?", BOOLEAN, "a word occurs within an edit distance", kind="text"),
    _f("contains", "TEXT PATTERN", BOOLEAN, "the text occurs, exactly", kind="text"),
    _f("added", "ALIAS? PATTERN", BOOLEAN, "some added line contains the text", kind="text"),
    _f("removed", "ALIAS? PATTERN", BOOLEAN, "some removed line contains the text", kind="text"),
    _f("changed", "ALIAS? PATTERN", BOOLEAN, "some added or removed line contains the text", kind="text"),
    _f("added_re", "ALIAS? PATTERN", BOOLEAN, "some added line matches the regular expression", kind="text"),
    _f("removed_re", "ALIAS? PATTERN", BOOLEAN, "some removed line matches the regular expression", kind="text"),
    _f("changed_re", "ALIAS? PATTERN", BOOLEAN, "some added or removed line matches: git log -G", kind="text"),
    _f("pickaxe", "ALIAS? PATTERN", BOOLEAN, "the number of occurrences in a file changed: git log -S", kind="text"),
    _f("touches", "ALIAS? PATTERN", BOOLEAN, "a changed path, old or new, matches the glob", kind="text"),
    _f("score", "ALIAS?", DOUBLE, "relevance of the row, higher is better", kind="text"),
    _f("highlight", "COLUMN TEXT? TEXT?", TEXT, "the column with every match marked", kind="text"),
    _f("snippet", "COLUMN INTEGER?", TEXT, "the best passage, with every match marked", kind="text"),
    # Commit graph
    _f("in_range", "ALIAS? PATTERN", BOOLEAN, "in git's revision range: 'a..b', 'a...b', '^x y'", kind="graph"),
    _f("reachable_from", "ALIAS? PATTERN", BOOLEAN, "the revision, or an ancestor of it", kind="graph"),
)  # fmt: skip

_FUNCTIONS: Final = {name: f for f in FUNCTIONS for name in (f.name, *f.aliases)}


def function(name: str) -> Function | None:
    """Returns the function of that name or alias in any case, or None."""
    return _FUNCTIONS.get(name.lower())
