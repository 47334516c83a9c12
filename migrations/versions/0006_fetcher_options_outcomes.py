"""Options and counts of a batch, the outcome of a URL, and what people had fetched in a day."""

import sqlalchemy as sa
from alembic import op

revision = "0006_fetcher_options_outcomes"
down_revision = "0005_fetcher_batch_fetch"
apps = ["fetcher"]


def upgrade() -> None:
    op.create_table(
        "fetcher_usage",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("urls", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["accounts_user.id"], name=op.f("fk_fetcher_usage_owner_id_accounts_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetcher_usage")),
        sa.UniqueConstraint("owner_id", "day", name=op.f("uq_fetcher_usage_owner_id_day")),
    )
    with op.batch_alter_table("fetcher_usage") as batch_op:
        batch_op.create_index(batch_op.f("ix_fetcher_usage_day"), ["day"], unique=False)

    with op.batch_alter_table("fetcher_batch") as batch_op:
        batch_op.add_column(sa.Column("refused", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("arrivals", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("per_host", sa.Integer(), server_default="10", nullable=False))
        batch_op.add_column(sa.Column("delay", sa.Float(), server_default="0.0", nullable=False))
        batch_op.add_column(sa.Column("url_seconds", sa.Float(), server_default="20.0", nullable=False))
        batch_op.add_column(sa.Column("retries", sa.Integer(), server_default="2", nullable=False))
        batch_op.add_column(sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("fetcher_fetch") as batch_op:
        batch_op.add_column(sa.Column("arrival", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("outcome", sa.String(length=7), nullable=True))
        batch_op.drop_index(batch_op.f("ix_fetcher_fetch_batch_id"))
        batch_op.create_unique_constraint(batch_op.f("uq_fetcher_fetch_batch_id_number"), ["batch_id", "number"])
        batch_op.create_check_constraint(
            batch_op.f("ck_fetcher_fetch_outcome"), "outcome IN ('ok', 'refused', 'failed')"
        )

    with op.batch_alter_table("fetcher_batch") as batch_op:
        batch_op.alter_column("refused", existing_type=sa.Integer(), server_default=None, existing_nullable=False)
        batch_op.alter_column("arrivals", existing_type=sa.Integer(), server_default=None, existing_nullable=False)
        batch_op.alter_column("per_host", existing_type=sa.Integer(), server_default=None, existing_nullable=False)
        batch_op.alter_column("delay", existing_type=sa.Float(), server_default=None, existing_nullable=False)
        batch_op.alter_column("url_seconds", existing_type=sa.Float(), server_default=None, existing_nullable=False)
        batch_op.alter_column("retries", existing_type=sa.Integer(), server_default=None, existing_nullable=False)

    op.execute(
        "UPDATE fetcher_fetch SET arrival = number + 1, outcome = CASE WHEN error IS NOT NULL THEN 'failed'"
        " WHEN status_code >= 400 THEN 'refused' ELSE 'ok' END WHERE fetched_at IS NOT NULL"
    )
    op.execute(
        "UPDATE fetcher_batch SET arrivals = total, refused = (SELECT count(*) FROM fetcher_fetch"
        " WHERE fetcher_fetch.batch_id = fetcher_batch.id AND fetcher_fetch.outcome = 'refused')"
    )


def downgrade() -> None:
    with op.batch_alter_table("fetcher_fetch") as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_fetcher_fetch_outcome"), type_="check")
        batch_op.drop_constraint(batch_op.f("uq_fetcher_fetch_batch_id_number"), type_="unique")
        batch_op.create_index(batch_op.f("ix_fetcher_fetch_batch_id"), ["batch_id"], unique=False)
        batch_op.drop_column("outcome")
        batch_op.drop_column("arrival")

    with op.batch_alter_table("fetcher_batch") as batch_op:
        batch_op.drop_column("ended_at")
        batch_op.drop_column("retries")
        batch_op.drop_column("url_seconds")
        batch_op.drop_column("delay")
        batch_op.drop_column("per_host")
        batch_op.drop_column("arrivals")
        batch_op.drop_column("refused")

    with op.batch_alter_table("fetcher_usage") as batch_op:
        batch_op.drop_index(batch_op.f("ix_fetcher_usage_day"))

    op.drop_table("fetcher_usage")
