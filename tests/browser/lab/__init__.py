"""An app whose one form gets whatever answer it asks for."""
