"""A tap as the template of the Singer SDK makes one: a RESTStream, one page after the other, and nothing tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.pagination import PageNumberPaginator

from benchmarks.competitors.measuring import PAGE_SIZE, PATH, VERSION
from tap_factorialhr import openapi

if TYPE_CHECKING:
    import requests


class Pages(PageNumberPaginator):
    """Pages by number, until an answer says that there is no next one."""

    def has_more(self, response: requests.Response) -> bool:
        return bool(response.json()["meta"]["has_next_page"])


class Employees(RESTStream[int]):
    """The employees."""

    name = "employees"
    path = f"/api/{VERSION}/resources/{PATH}"
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    schema = openapi.load(VERSION).schema(PATH)  # that a person would write down field by field

    @property
    def url_base(self) -> str:
        return str(self.config["base_url"])

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        return APIKeyAuthenticator(key="x-api-key", value=self.config["api_key"], location="header")

    def get_new_paginator(self) -> Pages:
        return Pages(start_value=1)

    def get_url_params(self, context: Any, next_page_token: int | None) -> dict[str, Any]:  # noqa: ANN401, ARG002
        return {"limit": PAGE_SIZE, "page": next_page_token}


class TemplateTap(Tap):
    """The tap."""

    name = "tap-template"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("base_url", th.StringType, required=True),
        th.Property("api_key", th.StringType, required=True, secret=True),
    ).to_dict()

    def discover_streams(self) -> list[Employees]:
        return [Employees(self)]


if __name__ == "__main__":
    TemplateTap.cli()
