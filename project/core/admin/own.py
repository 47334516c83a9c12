"""The admin's views of the core's own tables; they are for reading."""

from project.core.admin.views import ModelAdmin
from project.core.mail.sent import SentMail


class SentMailAdmin(ModelAdmin, model=SentMail):
    """The mail that was sent in the last 90 days, without what it said."""

    name, name_plural = "Sent mail", "Sent mail"
    icon = "fa-solid fa-envelope"
    can_create = can_edit = can_delete = False
    column_list = [SentMail.sent_at, SentMail.to, SentMail.subject, SentMail.template]
    column_searchable_list = [SentMail.to, SentMail.subject]
    column_default_sort = ("sent_at", True)


VIEWS: list[type[ModelAdmin]] = [SentMailAdmin]
