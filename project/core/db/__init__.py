"""The database floor: engine manners, model bases, queries, migrations."""
