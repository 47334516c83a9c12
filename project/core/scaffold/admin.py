"""Things in the admin."""

from project.core import ModelAdmin
from project.core.scaffold.models import Thing


class ThingAdmin(ModelAdmin, model=Thing):
    """All things, whoever they belong to."""

    column_list = [Thing.title, Thing.owner_id, Thing.created_at]
    column_searchable_list = [Thing.title]
    column_sortable_list = [Thing.title, Thing.created_at]
