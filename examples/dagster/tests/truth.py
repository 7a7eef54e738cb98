"""Print the keys of all rows of a simulated company; for the environment of the tap, which has the sandbox.

Arguments: how many employees, and the seed. On stdin the columns of each stream's key, ``{"teams": ["id"]}``. Columns
that the tap adds to rows are left out.
"""

from __future__ import annotations

import json
import sys

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import Company

company = Company(int(sys.argv[1]), int(sys.argv[2]))
keys = json.load(sys.stdin)
found = {}
for resource in openapi.load().resources:
    domain, _, name = resource.partition("/")
    stream = domain if domain == name else f"{domain}_{name}"
    if stream in keys:
        rows = company.rows(resource)
        columns = [column for column in keys[stream] if all(column in row for row in rows)]
        found[stream] = {"columns": columns, "rows": [[str(row[column]) for column in columns] for row in rows]}
json.dump(found, sys.stdout)
