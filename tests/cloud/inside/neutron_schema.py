"""Makes neutron's database from its models: its migrations alter constraints, which SQLite cannot.

usage: neutron_schema.py FILE
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import sqlalchemy
from neutron.db.migration.alembic_migrations import versions
from neutron.db.migration.models import head

DEFAULT_RULES = "2023.2/expand/c33da356b165_*.py"
"""The migration that inserts what every new security group starts with."""


def migration(pattern: str) -> Any:
    (path,) = Path(next(iter(versions.__path__))).glob(pattern)
    spec = importlib.util.spec_from_file_location("migration", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(file: str) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    metadata = head.get_metadata()
    metadata.create_all(engine)
    rules = migration(DEFAULT_RULES)
    attributes, table = metadata.tables["standardattributes"], metadata.tables[rules.table_name]
    with engine.begin() as connection:
        for rule in rules.default_template_rules:
            values = dict(rule)
            text = {"description": values.pop("description"), "resource_type": rules.table_name}
            made = connection.execute(sqlalchemy.insert(attributes).values(**text))
            number = made.inserted_primary_key[0]
            connection.execute(sqlalchemy.insert(table).values(standard_attr_id=number, **values))


main(sys.argv[1])
