"""The public register: its entries, their tree, what they are found by, people's salts and names, checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "register",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.execute("insert into register (id, origin, size, at) values (1, '', 0, 0)")
    op.create_table(
        "register_entries",
        sa.Column("entry", _number(), primary_key=True, autoincrement=False),
        sa.Column("leaf", sa.Text, nullable=False),
    )
    op.create_table(
        "register_nodes",
        sa.Column("position", _number(), primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "register_marks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("entry", sa.BigInteger, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "register_people",
        sa.Column("commitment", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False, index=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", _number(), primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cosignatures",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Index("cosignatures_size", "size"),
    )


def downgrade() -> None:
    for table in (
        "cosignatures", "checkpoints", "register_people", "register_marks", "register_nodes", "register_entries", "register"
    ):  # fmt: skip
        op.drop_table(table)


def _number() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
