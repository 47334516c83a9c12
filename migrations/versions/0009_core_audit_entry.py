"""Create table core_audit_entry; Create index ix_core_audit_entry_actor_id on core_audit_entry; Create index ix_core_audit_entry_kind_row_id on core_audit_entry."""

import sqlalchemy as sa
from alembic import op

revision = "0009_core_audit_entry"
down_revision = "0008_accounts_tokens_events"
apps = ["core"]


def upgrade() -> None:
    op.create_table(
        "core_audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("row_id", sa.String(length=200), nullable=False),
        sa.Column("words", sa.String(length=200), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_audit_entry")),
    )
    with op.batch_alter_table("core_audit_entry") as batch_op:
        batch_op.create_index(batch_op.f("ix_core_audit_entry_actor_id"), ["actor_id"], unique=False)
        batch_op.create_index("ix_core_audit_entry_kind_row_id", ["kind", "row_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("core_audit_entry") as batch_op:
        batch_op.drop_index("ix_core_audit_entry_kind_row_id")
        batch_op.drop_index(batch_op.f("ix_core_audit_entry_actor_id"))

    op.drop_table("core_audit_entry")
