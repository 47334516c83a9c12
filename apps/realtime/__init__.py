"""Realtime: the front door. Other apps need nothing of it."""
