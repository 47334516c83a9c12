"""The web floor: edge, guard, body limit, forms, pages, problems, docs, health, limits, static files."""
