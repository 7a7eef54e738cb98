"""Which settings there are: what the README, Meltano's file and the checks of a run all follow."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from tap_factorialhr import openapi

CONFIG_SCHEMA: dict[str, Any] = th.PropertiesList(
    th.Property(
        "base_url",
        th.StringType(),
        default="https://api.factorialhr.com",
        title="Base URL",
        description="Where the API is. Only HTTPS, except on this machine itself.",
    ),
    th.Property(
        "api_version",
        th.StringType(pattern=r"^\d{4}-\d{2}-\d{2}$"),
        default=openapi.DEFAULT_VERSION,
        title="API version",
        description="The quarterly version of the API, a date.",
    ),
    th.Property(
        "api_key",
        th.StringType(min_length=1),
        secret=True,
        title="API key",
        description="An API key, the simplest of the authentication methods.",
    ),
    th.Property(
        "access_token",
        th.StringType(min_length=1),
        secret=True,
        title="Access token",
        description="An OAuth access token, used as it is unless there is a refresh token.",
    ),
    th.Property(
        "token_type",
        th.StringType(min_length=1),
        default="Bearer",
        title="Token type",
        description="What stands before the access token in the Authorization header.",
    ),
    th.Property(
        "refresh_token",
        th.StringType(min_length=1),
        secret=True,
        title="Refresh token",
        description="An OAuth refresh token; each serves once, so set token_file or token_database as well.",
    ),
    th.Property(
        "client_id",
        th.StringType(min_length=1),
        secret=True,
        title="Client ID",
        description="The OAuth application's ID, for the refresh token.",
    ),
    th.Property(
        "client_secret",
        th.StringType(min_length=1),
        secret=True,
        title="Client secret",
        description="The OAuth application's secret, for the refresh token.",
    ),
    th.Property(
        "token_file",
        th.StringType(min_length=1),
        title="Token file",
        description="The file that keeps the OAuth session from one run to the next.",
    ),
    th.Property(
        "token_database",
        th.StringType(min_length=1),
        secret=True,
        title="Token database",
        description=(
            "The URL of a PostgreSQL that keeps the OAuth session instead of a file, for runs on several machines "
            "(extra postgres)."
        ),
    ),
    th.Property(
        "token_name",
        th.StringType(min_length=1),
        title="Token name",
        description="Tells sessions in token_database apart. Without it: the client_id.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType(),
        title="Start date",
        description=(
            "The first day to read, such as 2026-01-31, where a stream is read by changes or by days. Without it: all "
            "changes, and the days of the last year."
        ),
    ),
    th.Property(
        "pagination",
        th.StringType(),
        allowed_values=["offset", "cursor"],
        default="offset",
        title="Pagination",
        description="How pages are asked for: offset reads them side by side, cursor one after the other.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=100),
        default=100,
        title="Page size",
        description="Rows per page, 1 to 100.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType(minimum=1, maximum=64),
        default=8,
        title="Concurrency",
        description="Requests in flight at once, 1 to 64; 1 reads one page after the other.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0, maximum=86_400),
        default=300,
        title="Request timeout",
        description="Seconds to wait for an answer.",
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0),
        default=5,
        title="Retries",
        description="How often a failed request is tried again.",
    ),
    th.Property(
        "on_forbidden",
        th.StringType(),
        allowed_values=["skip", "fail"],
        default="skip",
        title="On forbidden",
        description="What a resource that is refused (402, 403, 404 or 410) does to the run: skip the stream, or fail.",
    ),
    th.Property(
        "integration_uuids",
        th.ArrayType(th.StringType(min_length=1)),
        title="Integration UUIDs",
        description=("The integrations to read integrations_sync_runs and marketplace_installation_settings for."),
    ),
    th.Property(
        "lookback_days",
        th.IntegerType(minimum=0, maximum=36_500),
        title="Look-back",
        description=(
            "Days to read again before the bookmark. Without it: 15 for streams read by days, and for streams read "
            "by changes 1, which is the least there."
        ),
    ),
    th.Property(
        "window_days",
        th.IntegerType(minimum=1, maximum=36_500),
        title="Window",
        description="Days read by one request, for streams read by days. Without it: each stream's own.",
    ),
    th.Property(
        "full_refresh_days",
        th.IntegerType(minimum=1, maximum=36_500),
        title="Full refresh",
        description=(
            "Days after which a stream that is read by changes is read whole again, for rows that have gone or changed "
            "without a time stamp. Without it: never."
        ),
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType(),
        default=False,
        title="Emit ACTIVATE_VERSION messages",
        description="Let the target drop rows that have gone, after a stream has been read whole.",
    ),
    th.Property(
        "drop_classes",
        th.ArrayType(th.StringType(min_length=1)),
        title="Drop classes",
        description=(
            "Classes of fields to leave out, with all below them; special_category for what GDPR's Articles 9 and 10 "
            "protect."
        ),
    ),
    th.Property(
        "hash_classes",
        th.ArrayType(th.StringType(min_length=1)),
        title="Hash classes",
        description="Classes of fields to write keyed hashes of instead of values; needs hash_key.",
    ),
    th.Property(
        "hash_key",
        th.StringType(min_length=1),
        secret=True,
        title="Hash key",
        description="The key of these hashes, of 16 bytes or more. Other hashes come of another key.",
    ),
    th.Property(
        "replace_null_characters",
        th.BooleanType(),
        default=False,
        title="Replace null characters",
        description="Write U+FFFD for null characters in texts, which PostgreSQL and its like cannot store.",
    ),
    th.Property(
        "ca_bundle",
        th.StringType(min_length=1),
        title="CA bundle",
        description="A file with the certificates to trust, where the system's do not do.",
    ),
    additional_properties=False,
).to_dict()
