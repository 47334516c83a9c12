"""Create table core_effect; Create index ix_core_effect_created_at on core_effect."""

import sqlalchemy as sa
from alembic import op

revision = "0002_core_effect"
down_revision = "0001_accounts_user_session"
apps = ["core"]


def upgrade() -> None:
    op.create_table(
        "core_effect",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_effect")),
        sa.UniqueConstraint("key", name=op.f("uq_core_effect_key")),
    )
    with op.batch_alter_table("core_effect") as batch_op:
        batch_op.create_index(batch_op.f("ix_core_effect_created_at"), ["created_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("core_effect") as batch_op:
        batch_op.drop_index(batch_op.f("ix_core_effect_created_at"))

    op.drop_table("core_effect")
