"""Mail: one template gives subject, text and HTML; MAIL_URL says where it goes. Sending is a job (jobs/mailing.py)."""

from project.core.mail.mailer import Mailer
from project.core.mail.message import Message, address

__all__ = ["Mailer", "Message", "address"]
