"""The apps of this site, one folder each; every app introduces itself in its app.py."""
