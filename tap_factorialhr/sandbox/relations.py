"""Which row an id points at, told from the name of the field that holds it."""

from __future__ import annotations

EMPLOYEES = "employees/employees"
COMPANY = "@company"
ACCESS = "@access"

STRINGS = frozenset({"tax_id", "issuer_tax_id", "recipient_tax_id", "external_id", "external_authorization_id"})
"""Names that end like an id, but hold a text that somebody typed or another system gave."""

OWN = frozenset({"employee_id", "access_id", "attachable_id", "valuable_id"})
"""Names that mean the person whom the row is about."""

TARGETS: dict[str, str] = {
    "access": ACCESS,
    "account": "finance/accounts",
    "allowance": "timeoff/allowances",
    "approver": EMPLOYEES,
    "asset_category": "it_management/asset_categories",
    "assignee": EMPLOYEES,
    "ats_application": "ats/applications",
    "ats_application_phase": "ats/application_phases",
    "ats_candidate": "ats/candidates",
    "ats_evaluation_forms": "ats/evaluation_forms",
    "ats_hiring_stage": "ats/hiring_stages",
    "ats_job_posting": "ats/job_postings",
    "ats_question": "ats/questions",
    "ats_rejection_reason": "ats/rejection_reasons",
    "attachable": EMPLOYEES,
    "attendance_shift": "attendance/shifts",
    "author": EMPLOYEES,
    "author_employee": EMPLOYEES,
    "bank_account": "banking/bank_accounts",
    "break_configuration": "time_settings/break_configurations",
    "budget": "finance/budget_options",
    "card_payment": "banking/card_payments",
    "category": "finance/categories",
    "client": "finance/contacts",
    "clock_in_work_area": "locations/work_areas",
    "clock_out_work_area": "locations/work_areas",
    "codeable": EMPLOYEES,
    "company": COMPANY,
    "compensation": "contracts/compensations",
    "completed_by": EMPLOYEES,
    "contract": "contracts/contracts",
    "contract_version": "contracts/contract_versions",
    "contracts_compensation": "contracts/compensations",
    "contracts_contract": "contracts/contracts",
    "contracts_contract_template": "contracts/contract_templates",
    "contracts_contract_version": "contracts/contract_versions",
    "contracts_taxonomy": "contracts/taxonomies",
    "cost_center": "finance/cost_centers",
    "created_by": EMPLOYEES,
    "created_by_employee": EMPLOYEES,
    "custom_time_range_category": "time_settings/split_custom_time_range_categories",
    "cycle": "compensations/cycles",
    "day_configuration": "work_schedule/day_configurations",
    "de_contract_type": "contracts/german_contract_types",
    "default_work_area": "locations/work_areas",
    "document": "documents/documents",
    "duplicate_financial_document": "finance/financial_documents",
    "employee": EMPLOYEES,
    "es_contract_type": "contracts/spanish_contract_types",
    "es_education_level": "contracts/spanish_education_levels",
    "es_professional_category": "contracts/spanish_professional_categories",
    "es_working_day_type": "contracts/spanish_working_day_types",
    "expense": "expenses/expenses",
    "expenses_expensable": "expenses/expensables",
    "field": "custom_fields/fields",
    "field_definition": "procurement/po_template_field_definitions",
    "folder": "documents/folders",
    "fr_contract_type": "contracts/french_contract_types",
    "it_asset_model": "it_management/it_asset_models",
    "job_catalog_level": "job_catalog/levels",
    "journal_entry": "finance/journal_entries",
    "last_updated_by_employee": EMPLOYEES,
    "lead": EMPLOYEES,
    "leave": "timeoff/leaves",
    "leave_type": "timeoff/leave_types",
    "timeoff_leave_type": "timeoff/leave_types",
    "ledger_account": "finance/accounts",
    "legal_entity": "companies/legal_entities",
    "legal_entities": "companies/legal_entities",
    "line_item": "procurement/po_line_items",
    "location": "locations/locations",
    "locations_work_area": "locations/work_areas",
    "manager": EMPLOYEES,
    "manager_access": ACCESS,
    "manager_evaluation": "performance/review_evaluations",
    "materialized_process_target": "performance/review_process_targets",
    "mileage": "expenses/mileages",
    "original_contract_version": "contracts/contract_versions",
    "overlap_period": "work_schedule/overlap_periods",
    "owner": EMPLOYEES,
    "parent_category": "finance/categories",
    "parent_financial_document": "finance/financial_documents",
    "parent_folder": "documents/folders",
    "parent_team": "teams/teams",
    "payroll_concept": "compensations/concepts",
    "payroll_run": "compensations/payroll_runs",
    "per_diem": "expenses/per_diems",
    "performance_review_evaluation": "performance/review_evaluations",
    "performance_review_process": "performance/review_processes",
    "po_template": "procurement/po_templates",
    "po_template_version": "procurement/po_template_versions",
    "based_on_version": "procurement/po_template_versions",
    "post": "posts/posts",
    "posts_group": "posts/groups",
    "process": "performance/review_processes",
    "project": "project_management/projects",
    "project_task": "project_management/project_tasks",
    "project_worker": "project_management/project_workers",
    "pt_contract_type": "contracts/portuguese_contract_types",
    "published_by": EMPLOYEES,
    "purchase_order": "procurement/purchase_orders",
    "purchase_request": "procurement/purchase_requests",
    "reference_rate": "project_management/rates",
    "reporter": EMPLOYEES,
    "requester_employee": EMPLOYEES,
    "review_evaluation": "performance/review_evaluations",
    "review_process": "performance/review_processes",
    "review_process_target": "performance/review_process_targets",
    "reviewer": EMPLOYEES,
    "reviewer_access": ACCESS,
    "role": "job_catalog/roles",
    "schedule": "work_schedule/schedules",
    "schema": "custom_resources/schemas",
    "self_evaluation": "performance/review_evaluations",
    "scale": "performance/employee_score_scales",
    "session": "trainings/sessions",
    "session_access_membership": "trainings/session_access_memberships",
    "session_attendance": "trainings/session_attendances",
    "shift": "shift_management/shifts",
    "signer": EMPLOYEES,
    "source_team": "teams/teams",
    "subproject": "project_management/subprojects",
    "supervisors": EMPLOYEES,
    "sync_run": "integrations/sync_runs",
    "syncable": EMPLOYEES,
    "syncable_state": "integrations/syncable_states",
    "target_access": ACCESS,
    "task": "tasks/tasks",
    "tax_type": "finance/tax_types",
    "team": "teams/teams",
    "time_settings_break_configuration": "time_settings/break_configurations",
    "timeoff_allowance": "timeoff/allowances",
    "timeoff_manager": EMPLOYEES,
    "timeoff_policy": "timeoff/policies",
    "training": "trainings/trainings",
    "training_class": "trainings/training_classes",
    "type": "procurement/types",
    "validated_by": EMPLOYEES,
    "valuable": EMPLOYEES,
    "vendor": "finance/contacts",
    "work_schedule_schedule": "work_schedule/schedules",
    "workplace": "locations/locations",
}

SPECIAL: dict[tuple[str, str], str] = {
    ("ats/applications", "source"): "ats/candidate_sources",
    ("ats/candidates", "source"): "ats/candidate_sources",
    ("ats/evaluation_forms", "based_on"): "ats/evaluation_forms",
    ("custom_resources/values", "resource"): "custom_resources/resources",
    ("finance/ledger_account_resources", "resource"): "finance/contacts",
    ("finance/journal_entries", "source"): "finance/financial_documents",
    ("it_management/asset_categories", "parent"): "it_management/asset_categories",
    ("performance/agreements", "target"): "performance/review_process_targets",
    ("project_management/rates", "resource"): EMPLOYEES,
    ("trainings/sessions", "parent"): "trainings/sessions",
    ("trainings/trainings", "category"): "trainings/categories",
    ("bookkeepers_management/incidences", "target"): EMPLOYEES,
    ("timeoff/blocked_periods", "members"): EMPLOYEES,
    ("expenses/expensables", "group"): "@expense_group",
}


def target(resource: str, field: str) -> str | None:
    """The resource whose rows a field points at.

    Returns:
        A list resource, a name with ``@`` for what the API has ids of but does not list, or None when the
        field holds no id.
    """
    if field in STRINGS:
        return None
    if field.endswith("_ids"):
        stem = field[:-4]
    elif field.endswith("_id"):
        stem = field[:-3]
    else:
        return None
    found = SPECIAL.get((resource, stem)) or TARGETS.get(stem)
    if found is None and stem.startswith("default_account_for_"):
        found = "finance/accounts"
    return found or "@" + stem
