"""Accounts: the front door. What other apps may use is exported here."""

from apps.accounts.identity import CurrentUser, InPerson, OptionalUser, StaffUser
from apps.accounts.models import User
from apps.accounts.services import figures

__all__ = ["CurrentUser", "InPerson", "OptionalUser", "StaffUser", "User", "figures"]
