"""Add column traceparent to core_job."""

import sqlalchemy as sa
from alembic import op

revision = "0013_core_job_traceparent"
down_revision = "0012_core_notice"
apps = ["core"]


def upgrade() -> None:
    with op.batch_alter_table("core_job") as batch_op:
        batch_op.add_column(sa.Column("traceparent", sa.String(length=55), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("core_job") as batch_op:
        batch_op.drop_column("traceparent")
