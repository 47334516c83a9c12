"""What `check --deploy` asks of accounts."""

from collections.abc import Iterator

from apps.accounts.conf import confirms
from project.core import Runtime
from project.core.checks import Finding, check


@check(deploy=True)
def signs_up_by_mail(runtime: Runtime) -> Iterator[Finding]:
    """Where people reach the site, nobody gets an account for an address that is not theirs."""
    if not confirms(runtime):
        message = "Accounts open without proof of their e-mail, and sign-up tells which addresses have one."
        yield Finding("accounts.E101", "error", message, "Set ACCOUNTS_SIGNUP=confirm, and MAIL_URL.")
