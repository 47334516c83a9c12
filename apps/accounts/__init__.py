"""Accounts: the front door. What other apps may use is exported here."""

from apps.accounts.identity import CurrentUser, InPerson, OptionalUser, StaffUser
from apps.accounts.models import User
from apps.accounts.schemas import Email
from apps.accounts.services import figures

__all__ = ["CurrentUser", "Email", "InPerson", "OptionalUser", "StaffUser", "User", "figures"]
