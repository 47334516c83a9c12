"""What accounts adds to the site."""

from apps.accounts import api, commands, pages
from apps.accounts.admin import SessionAdmin, UserAdmin
from apps.accounts.conf import AccountsSettings
from apps.accounts.identity import authenticate
from apps.accounts.models import Session, User
from project.core import AppConfig

config = AppConfig(
    label="accounts",
    title="Accounts",
    api=api.router,
    pages=pages.router,
    models=[User, Session],
    admin=[UserAdmin, SessionAdmin],
    commands=[commands.createsuperuser, commands.changepassword],
    settings=AccountsSettings,
    authenticate=authenticate,
    login="accounts:login",
)
