"""How many rows each resource has."""

from __future__ import annotations

from random import Random

PER_EMPLOYEE: dict[str, float] = {
    "attendance/estimated_times": 5,
    "attendance/edit_timesheet_requests": 0.2,
    "attendance/open_shifts": 0.2,
    "attendance/overtime_requests": 0.2,
    "attendance/reviews": 1,
    "attendance/shifts": 5,
    "attendance/worked_times": 5,
    "contracts/compensations": 2,
    "contracts/contract_activity_periods": 1.5,
    "contracts/contract_version_histories": 2,
    "contracts/contract_version_meta_data": 1.5,
    "contracts/contract_versions": 1.5,
    "contracts/contracts": 1,
    "contracts/reference_contracts": 1,
    "compensations/additional_compensations": 1,
    "custom_fields/values": 3,
    "custom_resources/values": 1,
    "documents/documents": 2,
    "employees/employees": 1,
    "expenses/expenses": 2,
    "expenses/expensables": 2,
    "finance/cost_center_memberships": 1,
    "payroll/family_situations": 1,
    "payroll/supplements": 1,
    "payroll_employees/identifiers": 0.5,
    "performance/review_evaluations": 1,
    "performance/review_process_targets": 1,
    "performance/target_managers": 1,
    "project_management/project_workers": 1,
    "project_management/time_records": 2,
    "shift_management/shifts": 2,
    "tasks/tasks": 0.5,
    "tasks/task_files": 0.5,
    "teams/memberships": 1,
    "teams/teams": 0.1,
    "time_planning/planning_versions": 1,
    "timeoff/allowance_stats": 1,
    "timeoff/leaves": 2,
    "timeoff/french_leave_day_counts": 1,
    "timeoff/policy_assignments": 1,
    "timeoff/policy_timelines": 1,
    "trainings/session_access_memberships": 1,
    "trainings/session_attendances": 1,
    "trainings/training_memberships": 1,
}
"""How the larger resources grow with the number of employees; all others are small and stay so."""

SIZES = {"api_public/credentials": 1, "companies/legal_entities": 3, "marketplace/installation_settings": 2}
_SMALL = range(5, 14)
_LEAST = 6


def size(resource: str, employees: int, seed: int) -> int:
    """How many rows a resource has in a company of so many employees.

    Args:
        resource: ``<domain>/<resource>``.
        employees: How many people the company has; all of them are rows of ``employees/employees``.
        seed: The company's seed, by which small resources differ from company to company.
    """
    if resource in SIZES:
        return SIZES[resource]
    if resource in PER_EMPLOYEE:
        return max(_LEAST if resource != "employees/employees" else 1, int(employees * PER_EMPLOYEE[resource]))
    return Random(f"{seed}:{resource}:size").choice(_SMALL)
