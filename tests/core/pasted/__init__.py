"""An app whose routers are pasted from a FastAPI tutorial, as they are."""
