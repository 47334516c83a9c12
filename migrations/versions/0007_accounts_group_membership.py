"""Create table accounts_group; Create table accounts_membership; Create index ix_accounts_membership_group_id on accounts_membership."""

import sqlalchemy as sa
from alembic import op

revision = "0007_accounts_group_membership"
down_revision = "0006_fetcher_options_outcomes"
apps = ["accounts"]


def upgrade() -> None:
    op.create_table(
        "accounts_group",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts_group")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_group_name")),
    )
    op.create_table(
        "accounts_membership",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["accounts_group.id"],
            name=op.f("fk_accounts_membership_group_id_accounts_group"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["accounts_user.id"],
            name=op.f("fk_accounts_membership_user_id_accounts_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "group_id", name=op.f("pk_accounts_membership")),
    )
    with op.batch_alter_table("accounts_membership") as batch_op:
        batch_op.create_index(batch_op.f("ix_accounts_membership_group_id"), ["group_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("accounts_membership") as batch_op:
        batch_op.drop_index(batch_op.f("ix_accounts_membership_group_id"))

    op.drop_table("accounts_membership")
    op.drop_table("accounts_group")
