"""What `check --deploy` asks of accounts."""

from collections.abc import Iterator

from apps.accounts.conf import confirms
from project.core import Runtime
from project.core.checks import Finding, check

OPEN = Finding(
    "accounts.E101",
    "Accounts open without proof of their e-mail, and sign-up tells which addresses have one.",
    "Set ACCOUNTS_SIGNUP=confirm, and MAIL_URL.",
)


@check(OPEN, tags=["accounts", "security"], deploy=True)
def signs_up_by_mail(runtime: Runtime) -> Iterator[Finding]:
    """Where people reach the site, nobody gets an account for an address that is not theirs."""
    if not confirms(runtime):
        yield OPEN
