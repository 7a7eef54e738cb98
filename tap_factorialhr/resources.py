"""What the API document cannot say of a resource: its key, its parent, its days, and what opens its hidden rows.

A resource that is not named here is read as the document has it, so a new one becomes a stream without code. The
facts: API notes, "Parameters", "Pagination" and "What changed since", and the official SDK's descriptions of each
parameter. A flag is sent only where it widens the result or fills a field; one that narrows is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeVar

from tap_factorialhr.axes import EVERY_VALUE, Axis, Parents, SettingValues, Values, Windows

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from tap_factorialhr.openapi import ListResource

AxisKind = TypeVar("AxisKind", bound=Axis)
ParameterValue = str | bool | tuple[str, ...]

WHOSE_CREDENTIALS = "api_public/credentials"
"""The resource that tells whose the credentials are (API notes, "Authentication")."""
CHANGE_KEY = "_read_at"
"""The field that rows without ``updated_at`` get, where only changed ones are asked for: when their run began."""
SINCE_FILTERS = ("updated_at_gteq", "updated_from", "updated_after")
"""The "changed since" filters. That of attendance/shifts, ``updated_at``, is not defined well enough to trust."""
LIST_OF_IDS = 80
"""Parents per request where the API takes a list of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """How a list resource is read.

    Attributes:
        path: ``<domain>/<resource>``.
        key: The fields that tell its rows apart, none where rows have no identity.
        always: Parameters that are always sent, so that no row and no field is missing.
        changed_since: The parameter that asks for changes only.
        axes: What its rows are divided by, from the outermost; none where one listing gives them all. Windows of
            days come first, since bookmarks follow the days.
        today: A parameter that takes the day of the run.
        since: A parameter that takes the ``start_date``.
        pagination: How its pages are asked for, where it knows but one way.
        may_repeat: Whether a row may come for several values of an axis.
    """

    path: str
    key: tuple[str, ...] = ("id",)
    always: Mapping[str, ParameterValue] = field(default_factory=dict)
    changed_since: str | None = None
    axes: tuple[Axis, ...] = ()
    today: str | None = None
    since: str | None = None
    pagination: Literal["cursor"] | None = None
    may_repeat: bool = False

    @property
    def name(self) -> str:
        """The stream's name: domain and resource, shortened where both are the same word."""
        return stream_name(self.path)

    @property
    def is_one_listing(self) -> bool:
        """Whether one listing gives all its rows, so that the total of that one is the total of all."""
        return not self.axes

    @property
    def parents(self) -> Parents | None:
        """What it hangs off, None where it stands by itself."""
        return self._axis(Parents)

    @property
    def windows(self) -> Windows | None:
        """How it is read by days, None where it is not."""
        return self._axis(Windows)

    @property
    def setting(self) -> str | None:
        """The setting whose values it is listed by, None where it needs none."""
        axis = self._axis(SettingValues)
        return axis.setting if axis else None

    @property
    def added_fields(self) -> tuple[str, ...]:
        """The fields that its rows get, declared by the document or not."""
        return tuple(name for axis in self.axes for name in axis.fields)

    def _axis(self, kind: type[AxisKind]) -> AxisKind | None:
        return next((axis for axis in self.axes if isinstance(axis, kind)), None)


def _employees(parameter: str = "employee_ids[]", chunk: int = LIST_OF_IDS) -> Parents:
    return Parents(resource="employees/employees", parameter=parameter, field="employee_id", chunk=chunk)


def _company() -> Parents:
    return Parents(resource=WHOSE_CREDENTIALS, parameter="company_id", key="company_id", field="company_id")


def _integrations(parameter: str) -> SettingValues:
    return SettingValues(setting="integration_uuids", parameter=parameter, field="integration_uuid")


def _of_attendance() -> Iterator[Resource]:
    """Attendance: by days, since unpaginated answers of many days stall."""
    days = Windows(start="start_on", end="end_on")
    yield Resource(path="attendance/shifts", axes=(days,))
    yield Resource(
        path="attendance/worked_times",
        axes=(replace(days, days=7),),
        always={"include_time_range_category": True, "include_non_attendable_employees": True},
    )
    yield Resource(path="attendance/estimated_times", axes=(replace(days, ahead=31), _employees()))
    yield Resource(path="attendance/reviews", axes=(replace(days, days=31), _employees()))
    yield Resource(path="attendance/overtime_requests", always={"include_approval_flow": True})


def _of_recruiting() -> Iterator[Resource]:
    yield Resource(path="ats/messages", always={"last_per_conversation": False})


def _of_contracts() -> Iterator[Resource]:
    for country in ("french", "german", "portuguese", "spanish"):
        yield Resource(path=f"contracts/{country}_contract_types", always={"archived": True})
    yield Resource(
        path="contracts/contract_activity_periods",
        axes=(Parents(resource="contracts/contracts", parameter="contract_id", field="contract_id"),),
    )
    yield Resource(
        path="contracts/contract_version_meta_data",
        key=("contract_version_id",),
        axes=(
            Parents(
                resource="contracts/contract_versions",
                parameter="contract_version_ids[]",
                field="contract_version_id",
                chunk=LIST_OF_IDS,
            ),
        ),
    )
    yield Resource(
        path="contracts/materialized_templates",
        axes=(_company(), Values(parameter="template_type", field="template_type")),
        always={"include_archived": True},
    )


def _of_money() -> Iterator[Resource]:
    # Cannot be listed without one of its filters.
    yield Resource(
        path="compensations/additional_compensations",
        axes=(Parents(resource="employees/employees", parameter="employee_ids[]", chunk=LIST_OF_IDS),),
    )
    yield Resource(path="compensations/cycles", always={"include_archived": True, "include_hidden": True})
    yield Resource(path="compensations/payroll_runs", always={"include_hidden": True})
    drafts = {"include_manual_drafts": True, "include_attachments": True}
    yield Resource(path="expenses/expensables", always={**drafts, "include_grouped": True})
    yield Resource(path="expenses/expenses", always=drafts)
    yield Resource(path="expenses/mileages", always=drafts)
    yield Resource(path="expenses/per_diems", always={"exclude_drafts": False})
    yield Resource(path="finance/budget_options", always={"include_inactive": True, "include_archived": True})
    # Vendors alone are the default, and rows do not say which they are.
    yield Resource(path="finance/contacts", axes=(Values(parameter="contact_type"),), may_repeat=True)
    yield Resource(
        path="finance/categories",
        always={"category_level": "all", "type": "all", "statuses[]": EVERY_VALUE},
    )
    # Active ones alone are the default here.
    yield Resource(path="finance/cost_center_memberships", always={"only_active": False})
    yield Resource(path="payroll_employees/identifiers", axes=(Values(parameter="country", field="country"),))
    yield Resource(path="payroll_integrations_base/codes", always={"integrations[]": EVERY_VALUE})


def _of_people() -> Iterator[Resource]:
    yield Resource(path="employees/employees", always={"only_active": False})
    yield Resource(
        path="job_catalog/tree_nodes",
        key=("uuid",),
        axes=(Values(parameter="node_type", field="type"),),
        always={"include_full_path": True},
    )
    yield Resource(
        path="job_catalog/node_attributes",
        axes=(Parents(resource="job_catalog/tree_nodes", parameter="node_uuid", key="uuid", field="node_uuid"),),
        always={"attribute_types[]": EVERY_VALUE},
    )
    yield Resource(
        path="performance/target_managers",
        axes=(
            Parents(
                resource="performance/review_processes",
                parameter="performance_review_process_ids[]",
                field="performance_review_process_id",
            ),
        ),
    )
    yield Resource(
        path="trainings/session_access_memberships",
        axes=(Parents(resource="trainings/sessions", parameter="session_id", field="session_id"),),
    )
    yield Resource(path="trainings/trainings", always={"return_expired_memberships": True})


def _of_places_and_plans() -> Iterator[Resource]:
    yield Resource(path="locations/work_areas", always={"only_non_archived": False})
    yield Resource(path="shift_management/shifts", always={"only_published": False})
    yield Resource(path="time_planning/planning_versions", always={"only_active": False})
    yield Resource(path="work_schedule/schedules", always={"with_employee_ids": True, "with_periods": True})


def _of_projects() -> Iterator[Resource]:
    minutes = {"include_inputed_minutes": True}
    yield Resource(path="project_management/projects", always={**minutes, "include_costs": True})
    yield Resource(
        path="project_management/project_workers",
        always={**minutes, "include_cost": True, "include_labor_cost": True},
    )
    yield Resource(
        path="project_management/subprojects",
        always={**minutes, "include_cost": True, "include_no_subproject": True},
    )
    yield Resource(
        path="project_management/exportable_expenses",
        key=(),
        axes=(
            Windows(start="start_date", end="end_date", days=90),
            Parents(
                resource="project_management/projects",
                parameter="project_ids[]",
                field="project_id",
                chunk=LIST_OF_IDS,
                label=("name", "project_name"),
            ),
        ),
    )


def _of_tasks_and_posts() -> Iterator[Resource]:
    yield Resource(
        path="tasks/task_files",
        axes=(Parents(resource="tasks/tasks", parameter="task_id", field="task_id"),),
    )
    yield Resource(
        path="posts/comments",
        axes=(Parents(resource="posts/posts", parameter="post_ids[]", field="post_id", chunk=LIST_OF_IDS),),
    )


def _of_time_off() -> Iterator[Resource]:
    # include_pending is left out: on its own it asks for pending leaves alone.
    yield Resource(
        path="timeoff/leaves",
        always={
            "include_deleted_leaves": True,
            "include_leave_type": True,
            "include_duration": True,
            "include_duration_by_day": True,
        },
    )
    # Cannot be listed without leaves or a period, and within a period only the days inside count.
    yield Resource(
        path="timeoff/french_leave_day_counts",
        key=("leave_id",),
        always={"include_deleted": True},
        axes=(Parents(resource="timeoff/leaves", parameter="leave_ids[]", chunk=LIST_OF_IDS),),
    )
    # Its total and limit count employees, and page is not supported.
    yield Resource(path="timeoff/allowance_stats", pagination="cursor")
    yield Resource(path="timeoff/policy_timelines", axes=(_employees("employee_id", chunk=1),), today="reference_date")


def _of_integrations() -> Iterator[Resource]:
    yield Resource(
        path="integrations/sync_runs",
        axes=(_integrations("marketplace_integration_uuid"),),
        since="created_at_gteq",
    )
    yield Resource(
        path="marketplace/installation_settings",
        key=("company_id", "integration_uuid"),
        axes=(_company(), _integrations("integration_uuid")),
    )


RESOURCES: dict[str, Resource] = {
    resource.path: resource
    for domain in (
        _of_attendance,
        _of_recruiting,
        _of_contracts,
        _of_money,
        _of_people,
        _of_places_and_plans,
        _of_projects,
        _of_tasks_and_posts,
        _of_time_off,
        _of_integrations,
    )
    for resource in domain()
}


def stream_name(path: str) -> str:
    """The stream that a resource becomes: domain and resource, shortened where both are the same word."""
    domain, _, resource = path.partition("/")
    return domain if domain == resource else f"{domain}_{resource}"


def of_one_name(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Resources that would become one stream, as ``a/b_c`` and ``a_b/c`` would; none where all differ."""
    by_name = groupby(sorted(paths, key=lambda path: (stream_name(path), path)), key=stream_name)
    return [same for _, paths in by_name if len(same := tuple(paths)) > 1]


def own_replication_key(resource: Resource, fields: Container[str]) -> str | None:
    """The field that bookmarks of a stream are taken from, None where it is read whole.

    Args:
        resource: How it is read.
        fields: The fields of its rows.
    """
    if resource.windows:
        return "date" if "date" in fields else CHANGE_KEY
    if resource.changed_since:
        return "updated_at" if "updated_at" in fields else CHANGE_KEY
    return None


def texts(value: ParameterValue) -> tuple[str, ...]:
    """The values of a parameter as they are sent."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (value,) if isinstance(value, str) else value


def describe(listed: ListResource, fields: Container[str]) -> Resource:
    """How a resource is read.

    Args:
        listed: What the document says of it.
        fields: The fields of its rows.

    Returns:
        The exception named here, or the plain way; with the "changed since" filter that the document has.
    """
    plain = Resource(path=listed.path, key=("id",) if "id" in fields else ())
    since = next((name for name in SINCE_FILTERS if name in listed.parameters), None)
    return replace(RESOURCES.get(listed.path, plain), changed_since=since)
