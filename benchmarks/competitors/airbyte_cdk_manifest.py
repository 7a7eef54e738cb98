"""The Airbyte CDK with a declarative manifest, run as a connector is: messages come out as lines, here to nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

from benchmarks.competitors.measuring import API_KEY, PAGE_SIZE, PATH, VERSION, measure

CONFIG = {"api_key": API_KEY}
CATALOG = {
    "streams": [
        {
            "stream": {"name": "employees", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "overwrite",
        }
    ]
}


def manifest(address: str) -> dict[str, Any]:
    """The declarative manifest."""
    in_header = {"type": "RequestOption", "inject_into": "header", "field_name": "x-api-key"}
    size, number = (
        {"type": "RequestOption", "inject_into": "request_parameter", "field_name": name} for name in ("limit", "page")
    )
    retriever = {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester",
            "url": f"{address}/api/{VERSION}/resources/{PATH}",
            "http_method": "GET",
            "authenticator": {
                "type": "ApiKeyAuthenticator",
                "api_token": "{{ config['api_key'] }}",
                "inject_into": in_header,
            },
        },
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
        },
        "paginator": {
            "type": "DefaultPaginator",
            "page_size_option": size,
            "page_token_option": number,
            "pagination_strategy": {
                "type": "PageIncrement",
                "page_size": PAGE_SIZE,
                "start_from_page": 1,
                "inject_on_first_request": True,
            },
        },
    }
    stream = {
        "type": "DeclarativeStream",
        "name": "employees",
        "primary_key": ["id"],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "additionalProperties": True}},
        "retriever": retriever,
    }
    return {
        "type": "DeclarativeSource",
        "version": "7.0.0",
        "check": {"type": "CheckStream", "stream_names": ["employees"]},
        "streams": [stream],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def read(address: str) -> int:
    """Run the command `read` of the connector."""
    source = ConcurrentDeclarativeSource(
        catalog=ConfiguredAirbyteCatalogSerializer.load(CATALOG),
        config=CONFIG,
        state=[],
        source_config=manifest(address),
    )
    with TemporaryDirectory() as folder:
        config, catalog = Path(folder) / "config.json", Path(folder) / "catalog.json"
        config.write_text(json.dumps(CONFIG))
        catalog.write_text(json.dumps(CATALOG))
        arguments = AirbyteEntrypoint.parse_args(["read", "--config", str(config), "--catalog", str(catalog)])
        lines = AirbyteEntrypoint(source).run(arguments)
        return sum(line.startswith('{"type":"RECORD"') for line in lines)


if __name__ == "__main__":
    measure(read)
