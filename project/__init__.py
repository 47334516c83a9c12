"""The project: its settings, its home page, its doors for servers; the framework is in project.core."""
