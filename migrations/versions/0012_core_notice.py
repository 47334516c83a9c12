"""Create table core_notice; Create index ix_core_notice_created_at on core_notice; Create index ix_core_notice_user_id on core_notice."""

import sqlalchemy as sa
from alembic import op

revision = "0012_core_notice"
down_revision = "0011_realtime_rooms"
apps = ["core"]


def upgrade() -> None:
    op.create_table(
        "core_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.String(length=10), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_notice")),
    )
    with op.batch_alter_table("core_notice") as batch_op:
        batch_op.create_index(batch_op.f("ix_core_notice_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_core_notice_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("core_notice") as batch_op:
        batch_op.drop_index(batch_op.f("ix_core_notice_user_id"))
        batch_op.drop_index(batch_op.f("ix_core_notice_created_at"))

    op.drop_table("core_notice")
