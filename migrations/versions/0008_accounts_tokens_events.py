"""Create table accounts_api_token; Create index ix_accounts_api_token_expires_at on accounts_api_token; Create index ix_accounts_api_token_user_id on accounts_api_token, and more."""

import sqlalchemy as sa
from alembic import op

revision = "0008_accounts_tokens_events"
down_revision = "0007_accounts_group_membership"
apps = ["accounts"]


def upgrade() -> None:
    op.create_table(
        "accounts_api_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["accounts_user.id"],
            name=op.f("fk_accounts_api_token_user_id_accounts_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_accounts_api_token_token_hash")),
    )
    with op.batch_alter_table("accounts_api_token") as batch_op:
        batch_op.create_index(batch_op.f("ix_accounts_api_token_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_accounts_api_token_user_id"), ["user_id"], unique=False)

    op.create_table(
        "accounts_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("detail", sa.String(length=100), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts_user.id"], name=op.f("fk_accounts_event_user_id_accounts_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts_event")),
    )
    with op.batch_alter_table("accounts_event") as batch_op:
        batch_op.create_index(batch_op.f("ix_accounts_event_happened_at"), ["happened_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_accounts_event_user_id"), ["user_id"], unique=False)

    op.create_table(
        "accounts_refresh_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("next_secret", sa.String(length=64), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["accounts_session.id"],
            name=op.f("fk_accounts_refresh_token_session_id_accounts_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts_refresh_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_accounts_refresh_token_token_hash")),
    )
    with op.batch_alter_table("accounts_refresh_token") as batch_op:
        batch_op.create_index(batch_op.f("ix_accounts_refresh_token_session_id"), ["session_id"], unique=False)

    with op.batch_alter_table("accounts_session") as batch_op:
        batch_op.add_column(sa.Column("remember", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("accounts_session") as batch_op:
        batch_op.alter_column("remember", existing_type=sa.Boolean(), server_default=None, existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("accounts_session") as batch_op:
        batch_op.drop_column("remember")

    with op.batch_alter_table("accounts_refresh_token") as batch_op:
        batch_op.drop_index(batch_op.f("ix_accounts_refresh_token_session_id"))

    op.drop_table("accounts_refresh_token")
    with op.batch_alter_table("accounts_event") as batch_op:
        batch_op.drop_index(batch_op.f("ix_accounts_event_user_id"))
        batch_op.drop_index(batch_op.f("ix_accounts_event_happened_at"))

    op.drop_table("accounts_event")
    with op.batch_alter_table("accounts_api_token") as batch_op:
        batch_op.drop_index(batch_op.f("ix_accounts_api_token_user_id"))
        batch_op.drop_index(batch_op.f("ix_accounts_api_token_expires_at"))

    op.drop_table("accounts_api_token")
