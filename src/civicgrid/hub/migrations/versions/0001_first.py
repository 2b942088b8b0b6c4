"""The first schema: sites, people, runs with their tasks and replies, the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sites",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("hello", sa.Text),
        sa.Column("seen", sa.Float),
        sa.Column("session", sa.Text),
    )
    op.create_table(
        "people",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("network", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("members", sa.Text, nullable=False),
        sa.Column("offline", sa.Text, nullable=False),
        sa.Column("submitted", sa.Float, nullable=False),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("result", sa.Text),
        sa.Column("finished", sa.Float),
    )
    op.create_table(
        "tasks",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False, index=True),
        sa.Column("signed", sa.LargeBinary, nullable=False),
        sa.Column("targets", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "replies",
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("header", sa.LargeBinary),
        sa.Column("share", sa.LargeBinary),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Text, index=True),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("audit", "replies", "tasks", "runs", "people", "sites"):
        op.drop_table(table)
