"""Wording: what operations do, in a line each, and the file names that follow from them."""

from collections.abc import Iterable

from alembic.operations import ops


class Rename(ops.ExecuteSQLOp):
    """Renames "table" or "table.column"; `new` is the bare new name. Both databases keep what refers to it."""

    def __init__(self, old: str, new: str) -> None:
        self.table_name, _, column = old.partition(".")
        self.old, self.new, self.column = old, new, column
        what = f'COLUMN "{column}" ' if column else ""
        super().__init__(f'ALTER TABLE "{self.table_name}" RENAME {what}TO "{new}"')

    def reverse(self) -> "Rename":
        """The way back."""
        return Rename(f"{self.table_name}.{self.new}", self.column) if self.column else Rename(self.new, self.old)


def flat(operations: Iterable[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    """The operations without the containers that group them by table."""
    found: list[ops.MigrateOperation] = []
    for operation in operations:
        found += flat(operation.ops) if isinstance(operation, ops.OpContainer) else [operation]
    return found


def table_of(operation: ops.MigrateOperation) -> str:
    """The table an operation is about."""
    return str(getattr(operation, "table_name", None) or getattr(operation, "source_table", ""))


def describe(operation: ops.MigrateOperation) -> tuple[str, str]:
    """A line for people and a part of a file name."""
    table, name = table_of(operation), str(getattr(operation, "column_name", ""))
    match operation:
        case ops.CreateTableOp():
            return f"+ Create table {table}", table
        case ops.DropTableOp():
            return f"- Drop table {table}", f"{table}_delete"
        case Rename(old=old, new=new):
            return f"~ Rename {old} to {new}", f"{old.replace('.', '_rename_')}{'' if '.' in old else '_rename'}_{new}"
        case ops.AddColumnOp(column=column):
            return f"+ Add column {column.name} to {table}", f"{table}_add_{column.name}"
        case ops.DropColumnOp():
            return f"- Remove column {name} from {table}", f"{table}_remove_{name}"
        case ops.AlterColumnOp():
            return f"~ Alter column {name} on {table}", f"{table}_alter_{name}"
    kind = "index" if hasattr(operation, "index_name") else "constraint"
    name = getattr(operation, f"{kind}_name", "")
    gone = isinstance(operation, ops.DropIndexOp | ops.DropConstraintOp)
    return f"{'- Remove' if gone else '+ Create'} {kind} {name} on {table}", f"{table}_{kind}"


def slug(operations: Iterable[ops.MigrateOperation]) -> str:
    """A readable name, such as accounts_user_session or blog_post_add_slug; at most about 60 letters."""
    parts = list(dict.fromkeys(describe(operation)[1] for operation in operations))
    name, before = "", list[str]()
    for part in [part for part in parts if not part.endswith(("_index", "_constraint"))] or parts:
        words = part.split("_")
        new = "_".join(word for at, word in enumerate(words, 1) if words[:at] != before[:at])
        if len(name) + len(new) > 60 and name:
            return f"{name}_and_more"
        name, before = "_".join(filter(None, (name, new))), words
    return name or "changes"
