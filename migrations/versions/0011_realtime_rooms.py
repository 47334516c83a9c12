"""Rooms, who belongs to them, and what is said there."""

import sqlalchemy as sa
from alembic import op

revision = "0011_realtime_rooms"
down_revision = "0010_core_presence"
apps = ["realtime"]


def upgrade() -> None:
    op.create_table(
        "realtime_room",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["accounts_user.id"],
            name=op.f("fk_realtime_room_owner_id_accounts_user"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_realtime_room")),
        sa.UniqueConstraint("slug", name=op.f("uq_realtime_room_slug")),
    )
    with op.batch_alter_table("realtime_room") as batch_op:
        batch_op.create_index(batch_op.f("ix_realtime_room_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "realtime_member",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["room_id"], ["realtime_room.id"], name=op.f("fk_realtime_member_room_id_realtime_room"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts_user.id"], name=op.f("fk_realtime_member_user_id_accounts_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_realtime_member")),
        sa.UniqueConstraint("room_id", "user_id", name=op.f("uq_realtime_member_room_id_user_id")),
    )
    with op.batch_alter_table("realtime_member") as batch_op:
        batch_op.create_index(batch_op.f("ix_realtime_member_user_id"), ["user_id"], unique=False)

    op.create_table(
        "realtime_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(length=4000), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"],
            ["accounts_user.id"],
            name=op.f("fk_realtime_message_author_id_accounts_user"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["realtime_room.id"],
            name=op.f("fk_realtime_message_room_id_realtime_room"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_realtime_message")),
        sa.UniqueConstraint("room_id", "number", name=op.f("uq_realtime_message_room_id_number")),
        sa.UniqueConstraint("room_id", "position", name=op.f("uq_realtime_message_room_id_position")),
    )
    with op.batch_alter_table("realtime_message") as batch_op:
        batch_op.create_index(batch_op.f("ix_realtime_message_author_id"), ["author_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("realtime_message") as batch_op:
        batch_op.drop_index(batch_op.f("ix_realtime_message_author_id"))

    op.drop_table("realtime_message")
    with op.batch_alter_table("realtime_member") as batch_op:
        batch_op.drop_index(batch_op.f("ix_realtime_member_user_id"))

    op.drop_table("realtime_member")
    with op.batch_alter_table("realtime_room") as batch_op:
        batch_op.drop_index(batch_op.f("ix_realtime_room_owner_id"))

    op.drop_table("realtime_room")
