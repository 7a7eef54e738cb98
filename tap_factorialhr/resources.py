"""What the API document cannot say of a resource: its key, its parent, its days, and what opens its hidden rows.

A resource that is not named here is read as the document has it, so a new one becomes a stream without code. The
facts: API notes, "Parameters", "Pagination" and "What changed since", and the official SDK's descriptions of each
parameter. A flag is sent only where it widens the result or fills a field; one that narrows is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_factorialhr.openapi import JsonSchema, ListResource

Value = str | bool | tuple[str, ...]

EVERY_VALUE: tuple[str, ...] = ()
"""All values that the document names for a parameter."""
CHANGE_KEY = "_read_at"
"""The field that rows without ``updated_at`` get, where only changed ones are asked for: when their run began."""
SINCE_FILTERS = ("updated_at_gteq", "updated_from", "updated_after")
"""The "changed since" filters. That of attendance/shifts, ``updated_at``, is not defined well enough to trust."""
LIST_OF_IDS = 80
"""Parents per request where the API takes a list of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The resource that another one hangs off.

    Attributes:
        resource: Its path.
        parameter: The query parameter that takes the key of its rows.
        key: The field of its rows that is sent.
        field: The field that rows of the child get it in, where they lack it.
        chunk: Keys per request.
        label: A field of the parent's rows and one of the child's that hold the same name, to tell the parent of
            a row by where rows do not carry its key and several parents share a request.
    """

    resource: str
    parameter: str
    key: str = "id"
    field: str | None = None
    chunk: int = 1
    label: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The parameters that a resource takes its days by.

    Attributes:
        start: The parameter of the first day.
        end: The parameter of the last day.
        days: Days per request by default.
        ahead: Days after today that are read as well: companies live in other time zones, and plan.
    """

    start: str
    end: str
    days: int = 15
    ahead: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """How a list resource is read.

    Attributes:
        path: ``<domain>/<resource>``.
        key: The fields that tell its rows apart, none where rows have no identity.
        always: Parameters that are always sent, so that no row and no field is missing.
        changed_since: The parameter that asks for changes only.
        window: How it is read by days.
        parent: What it hangs off.
        each: A parameter that takes one value at a time, and the values.
        each_field: The field that rows get that value in, where they lack it.
        setting: The setting whose values it is listed by, one at a time.
        setting_parameter: The parameter that takes such a value.
        setting_field: The field that rows get that value in, where they lack it.
        today: A parameter that takes the day of the run.
        since: A parameter that takes the ``start_date``.
        pagination: How its pages are asked for, where it knows but one way.
        may_repeat: Whether a row may come for several values of ``each``.
    """

    path: str
    key: tuple[str, ...] = ("id",)
    always: Mapping[str, Value] = field(default_factory=dict)
    changed_since: str | None = None
    window: Window | None = None
    parent: Parent | None = None
    each: tuple[str, tuple[str, ...]] | None = None
    each_field: str | None = None
    setting: str | None = None
    setting_parameter: str | None = None
    setting_field: str | None = None
    today: str | None = None
    since: str | None = None
    pagination: Literal["cursor"] | None = None
    may_repeat: bool = False

    @property
    def name(self) -> str:
        """The stream's name: domain and resource, shortened where both are the same word."""
        domain, _, resource = self.path.partition("/")
        return domain if domain == resource else f"{domain}_{resource}"

    @property
    def is_one_listing(self) -> bool:
        """Whether one listing gives all its rows, so that the total of that one is the total of all."""
        return not (self.window or self.parent or self.each or self.setting)

    @property
    def added_fields(self) -> tuple[str, ...]:
        """The fields that its rows get, declared by the document or not."""
        of_parent = self.parent.field if self.parent else None
        return tuple(name for name in (of_parent, self.each_field, self.setting_field) if name)


def _employees(parameter: str = "employee_ids[]", chunk: int = LIST_OF_IDS) -> Parent:
    return Parent(resource="employees/employees", parameter=parameter, field="employee_id", chunk=chunk)


def _company() -> Parent:
    return Parent(resource="api_public/credentials", parameter="company_id", key="company_id", field="company_id")


def _of_attendance() -> Iterator[Resource]:
    """Attendance: by days, since unpaginated answers of many days stall."""
    days = Window(start="start_on", end="end_on")
    yield Resource(path="attendance/shifts", window=days)
    yield Resource(
        path="attendance/worked_times",
        window=replace(days, days=7),
        always={"include_time_range_category": True, "include_non_attendable_employees": True},
    )
    yield Resource(path="attendance/estimated_times", window=replace(days, ahead=31), parent=_employees())
    yield Resource(path="attendance/reviews", window=replace(days, days=31), parent=_employees())
    yield Resource(path="attendance/overtime_requests", always={"include_approval_flow": True})


def _of_recruiting() -> Iterator[Resource]:
    yield Resource(path="ats/messages", always={"last_per_conversation": False})


def _of_contracts() -> Iterator[Resource]:
    for country in ("french", "german", "portuguese", "spanish"):
        yield Resource(path=f"contracts/{country}_contract_types", always={"archived": True})
    yield Resource(
        path="contracts/contract_activity_periods",
        parent=Parent(resource="contracts/contracts", parameter="contract_id", field="contract_id"),
    )
    yield Resource(
        path="contracts/contract_version_meta_data",
        key=("contract_version_id",),
        parent=Parent(
            resource="contracts/contract_versions",
            parameter="contract_version_ids[]",
            field="contract_version_id",
            chunk=LIST_OF_IDS,
        ),
    )
    yield Resource(
        path="contracts/materialized_templates",
        parent=_company(),
        each=("template_type", EVERY_VALUE),
        each_field="template_type",
        always={"include_archived": True},
    )


def _of_money() -> Iterator[Resource]:
    # Cannot be listed without one of its filters.
    yield Resource(
        path="compensations/additional_compensations",
        parent=Parent(resource="employees/employees", parameter="employee_ids[]", chunk=LIST_OF_IDS),
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
    yield Resource(path="finance/contacts", each=("contact_type", EVERY_VALUE), may_repeat=True)
    yield Resource(
        path="finance/categories",
        always={"category_level": "all", "type": "all", "statuses[]": EVERY_VALUE},
    )
    # Active ones alone are the default here.
    yield Resource(path="finance/cost_center_memberships", always={"only_active": False})
    yield Resource(path="payroll_employees/identifiers", each=("country", EVERY_VALUE), each_field="country")
    yield Resource(path="payroll_integrations_base/codes", always={"integrations[]": EVERY_VALUE})


def _of_people() -> Iterator[Resource]:
    yield Resource(path="employees/employees", always={"only_active": False})
    yield Resource(
        path="job_catalog/tree_nodes",
        key=("uuid",),
        each=("node_type", EVERY_VALUE),
        each_field="type",
        always={"include_full_path": True},
    )
    yield Resource(
        path="job_catalog/node_attributes",
        parent=Parent(resource="job_catalog/tree_nodes", parameter="node_uuid", key="uuid", field="node_uuid"),
        always={"attribute_types[]": EVERY_VALUE},
    )
    yield Resource(
        path="performance/target_managers",
        parent=Parent(
            resource="performance/review_processes",
            parameter="performance_review_process_ids[]",
            field="performance_review_process_id",
        ),
    )
    yield Resource(
        path="trainings/session_access_memberships",
        parent=Parent(resource="trainings/sessions", parameter="session_id", field="session_id"),
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
        window=Window(start="start_date", end="end_date", days=90),
        parent=Parent(
            resource="project_management/projects",
            parameter="project_ids[]",
            field="project_id",
            chunk=LIST_OF_IDS,
            label=("name", "project_name"),
        ),
    )


def _of_tasks_and_posts() -> Iterator[Resource]:
    yield Resource(
        path="tasks/task_files",
        parent=Parent(resource="tasks/tasks", parameter="task_id", field="task_id"),
    )
    yield Resource(
        path="posts/comments",
        parent=Parent(resource="posts/posts", parameter="post_ids[]", field="post_id", chunk=LIST_OF_IDS),
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
        parent=Parent(resource="timeoff/leaves", parameter="leave_ids[]", chunk=LIST_OF_IDS),
    )
    # Its total and limit count employees, and page is not supported.
    yield Resource(path="timeoff/allowance_stats", pagination="cursor")
    yield Resource(path="timeoff/policy_timelines", parent=_employees("employee_id", chunk=1), today="reference_date")


def _of_integrations() -> Iterator[Resource]:
    yield Resource(
        path="integrations/sync_runs",
        setting="integration_uuids",
        setting_parameter="marketplace_integration_uuid",
        setting_field="integration_uuid",
        since="created_at_gteq",
    )
    yield Resource(
        path="marketplace/installation_settings",
        key=("company_id", "integration_uuid"),
        parent=_company(),
        setting="integration_uuids",
        setting_parameter="integration_uuid",
        setting_field="integration_uuid",
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


def describe(listed: ListResource, rows: JsonSchema) -> Resource:
    """How a resource is read.

    Args:
        listed: What the document says of it.
        rows: The schema of its rows.

    Returns:
        The exception named here, or the plain way; with the "changed since" filter that the document has.
    """
    plain = Resource(path=listed.path, key=("id",) if "id" in rows["properties"] else ())
    since = next((name for name in SINCE_FILTERS if name in listed.parameters), None)
    return replace(RESOURCES.get(listed.path, plain), changed_since=since)
