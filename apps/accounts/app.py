"""What accounts adds to the site."""

from apps.accounts import api, commands, jobs, pages, seeding
from apps.accounts.admin import ApiTokenAdmin, EventAdmin, SessionAdmin, UserAdmin
from apps.accounts.checks import signs_up_by_mail
from apps.accounts.conf import AccountsSettings
from apps.accounts.groups_admin import GroupAdmin
from apps.accounts.identity import authenticate, identify
from apps.accounts.models import ApiToken, Event, Group, Membership, RefreshToken, Session, User
from project.core import AppConfig

config = AppConfig(
    label="accounts",
    title="Accounts",
    api=api.router,
    pages=pages.router,
    models=[User, Session, RefreshToken, ApiToken, Event, Group, Membership],
    admin=[UserAdmin, GroupAdmin, SessionAdmin, ApiTokenAdmin, EventAdmin],
    jobs=[jobs.send_welcome, jobs.send_verification, jobs.send_reset, jobs.send_email_change, jobs.send_email_asked],
    cron=[jobs.sweep],
    cleanup=jobs.forget,
    seed=seeding.seed,
    checks=[signs_up_by_mail],
    commands=[commands.createsuperuser, commands.changepassword],
    settings=AccountsSettings,
    authenticate=authenticate,
    identify=identify,
    login="accounts:login",
)
