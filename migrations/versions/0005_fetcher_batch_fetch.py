"""Create table fetcher_batch; Create index ix_fetcher_batch_owner_id on fetcher_batch; Create table fetcher_fetch, and more."""

import sqlalchemy as sa
from alembic import op

revision = "0005_fetcher_batch_fetch"
down_revision = "0004_core_sent_mail"
apps = ["fetcher"]


def upgrade() -> None:
    op.create_table(
        "fetcher_batch",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            sa.Enum("queued", "running", "done", "cancelled", name="status", native_enum=False, create_constraint=True),
            nullable=False,
        ),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["accounts_user.id"], name=op.f("fk_fetcher_batch_owner_id_accounts_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetcher_batch")),
    )
    with op.batch_alter_table("fetcher_batch") as batch_op:
        batch_op.create_index(batch_op.f("ix_fetcher_batch_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "fetcher_fetch",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("final_url", sa.String(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column(
            "error",
            sa.Enum(
                "invalid_url",
                "blocked",
                "timeout",
                "too_large",
                "too_many_redirects",
                "bad_redirect",
                "bad_response",
                "disconnected",
                "tls",
                "failed",
                name="failure",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=True,
        ),
        sa.Column("redirects", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("elapsed_ms", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("charset", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["fetcher_batch.id"], name=op.f("fk_fetcher_fetch_batch_id_fetcher_batch"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetcher_fetch")),
    )
    with op.batch_alter_table("fetcher_fetch") as batch_op:
        batch_op.create_index(batch_op.f("ix_fetcher_fetch_batch_id"), ["batch_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("fetcher_fetch") as batch_op:
        batch_op.drop_index(batch_op.f("ix_fetcher_fetch_batch_id"))

    op.drop_table("fetcher_fetch")
    with op.batch_alter_table("fetcher_batch") as batch_op:
        batch_op.drop_index(batch_op.f("ix_fetcher_batch_owner_id"))

    op.drop_table("fetcher_batch")
