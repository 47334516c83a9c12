"""Create table core_sent_mail; Create index ix_core_sent_mail_sent_at on core_sent_mail."""

import sqlalchemy as sa
from alembic import op

revision = "0004_core_sent_mail"
down_revision = "0003_core_job"
apps = ["core"]


def upgrade() -> None:
    op.create_table(
        "core_sent_mail",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("to", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("template", sa.String(length=200), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.String(length=320), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_sent_mail")),
        sa.UniqueConstraint("job_id", name=op.f("uq_core_sent_mail_job_id")),
    )
    with op.batch_alter_table("core_sent_mail") as batch_op:
        batch_op.create_index(batch_op.f("ix_core_sent_mail_sent_at"), ["sent_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("core_sent_mail") as batch_op:
        batch_op.drop_index(batch_op.f("ix_core_sent_mail_sent_at"))

    op.drop_table("core_sent_mail")
