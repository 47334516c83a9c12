"""Wording: what operations do, in a line each, and the file names that follow from them."""

from collections.abc import Callable, Iterable

from alembic.operations import ops


def flat(operations: Iterable[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    """The operations without the containers that group them by table."""
    found: list[ops.MigrateOperation] = []
    for operation in operations:
        found += flat(operation.ops) if isinstance(operation, ops.OpContainer) else [operation]
    return found


def describe(operation: ops.MigrateOperation) -> tuple[str, str]:
    """A line for people and a part of a file name ("" when others say enough)."""
    match operation:
        case ops.CreateTableOp(table_name=table):
            return f"+ Create table {table}", table
        case ops.DropTableOp(table_name=table):
            return f"- Drop table {table}", f"{table}_delete"
        case ops.RenameTableOp(table_name=table, new_table_name=name):
            return f"~ Rename table {table} to {name}", f"{table}_rename_{name}"
        case ops.AddColumnOp(table_name=table, column=column):
            return f"+ Add column {column.name} to {table}", f"{table}_add_{column.name}"
        case ops.DropColumnOp(table_name=table, column_name=name):
            return f"- Remove column {name} from {table}", f"{table}_remove_{name}"
        case ops.AlterColumnOp(table_name=table, column_name=old, modify_name=str(name)):
            return f"~ Rename column {old} on {table} to {name}", f"{table}_rename_{old}_{name}"
        case ops.AlterColumnOp(table_name=table, column_name=name):
            return f"~ Alter column {name} on {table}", f"{table}_alter_{name}"
        case ops.CreateIndexOp(table_name=table, index_name=name):
            return f"+ Create index {name} on {table}", f"{table}_index"
        case ops.DropIndexOp(table_name=table, index_name=name):
            return f"- Remove index {name} from {table}", f"{table}_index"
        case ops.DropConstraintOp(table_name=table, constraint_name=name):
            return f"- Remove constraint {name} from {table}", f"{table}_constraint"
        case ops.AddConstraintOp():
            constraint = operation.to_constraint()
            return (
                f"+ Create constraint {constraint.name} on {constraint.table}",
                f"{constraint.table}_constraint",
            )
        case _:
            return f"~ {type(operation).__name__.removesuffix('Op')}", ""


def table_of(operation: ops.MigrateOperation) -> str:
    """The table an operation is about."""
    name = getattr(operation, "table_name", None) or getattr(operation, "source_table", "")
    return str(name)


def slug(operations: Iterable[ops.MigrateOperation], owner: Callable[[str], str]) -> str:
    """A readable name, such as accounts_user_session or blog_post_add_slug; at most about 60 letters."""
    parts = list(dict.fromkeys((table_of(operation), describe(operation)[1]) for operation in operations))
    telling = [part for part in parts if not part[1].endswith(("_index", "_constraint"))] or parts
    name, before = "", ""
    for table, part in telling:
        label = owner(table)
        known = f"{table}_" if table == before else f"{label}_" if label and label == owner(before) else ""
        word = part.removeprefix(known)
        if len(name) + len(word) > 60 and name:
            return f"{name}_and_more"
        name, before = "_".join(filter(None, (name, word))), table
    return name or "changes"
