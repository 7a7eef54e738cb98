"""The readers of employees, each a process of its own that prints one line of JSON, or is a tap.

They run in environments that have nothing else of this project, so they import from here no more than `measuring`.
"""
