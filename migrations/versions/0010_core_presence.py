"""Create table core_presence; Create index ix_core_presence_expires_at on core_presence; Create index ix_core_presence_process on core_presence, and more."""

import sqlalchemy as sa
from alembic import op

revision = "0010_core_presence"
down_revision = "0009_core_audit_entry"
apps = ["core"]


def upgrade() -> None:
    op.create_table(
        "core_presence",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=320), nullable=False),
        sa.Column("process", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_presence")),
    )
    with op.batch_alter_table("core_presence") as batch_op:
        batch_op.create_index(batch_op.f("ix_core_presence_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_core_presence_process"), ["process"], unique=False)
        batch_op.create_index(batch_op.f("ix_core_presence_topic"), ["topic"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("core_presence") as batch_op:
        batch_op.drop_index(batch_op.f("ix_core_presence_topic"))
        batch_op.drop_index(batch_op.f("ix_core_presence_process"))
        batch_op.drop_index(batch_op.f("ix_core_presence_expires_at"))

    op.drop_table("core_presence")
