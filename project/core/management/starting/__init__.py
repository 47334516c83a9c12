"""A project made of another, and what it changed since.

tree        the files of a project, and the record of the framework's own
leaving     what goes with an app that a new project does without
fresh       a new project's own name, key and README
"""
