"""The web floor: edge, guard, forms, pages, problems and the assembly of the app."""
