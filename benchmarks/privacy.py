"""What dropping and hashing fields costs: the tap beside itself, with and without, round after round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.readers import Plan, Tap, interleaved

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Reading
    from benchmarks.serving import Pages

PLAIN = "as they are"
_KEY = ("hash_key", "a key for nothing but this benchmark")
VARIANTS: tuple[Tap, ...] = (
    Tap(PLAIN),
    Tap(
        "`drop_classes`: `special_category`, `user.contact`, `user.financial`",
        settings=(("drop_classes", ["special_category", "user.contact", "user.financial"]),),
    ),
    Tap("`hash_classes`: `user.unique_id`", settings=(("hash_classes", ["user.unique_id"]), _KEY)),
    Tap(
        "`hash_classes`: `user.unique_id`, `user.name`, `user.contact`",
        settings=(("hash_classes", ["user.unique_id", "user.name", "user.contact"]), _KEY),
    ),
)
FULL = (Plan(0, 20_000, 5), Plan(0.05, 20_000, 3))
QUICK = (Plan(0, 5_000, 2), Plan(0.05, 2_000, 1))


def measure(pages: Pages, folder: Path, *, quick: bool) -> list[Reading]:
    """All variants, at each latency; a round before the first is not counted."""
    plans = QUICK if quick else FULL
    interleaved(VARIANTS, pages, folder, Plan(0, plans[0].rows, 1), "warm-up")
    return [reading for plan in plans for reading in interleaved(VARIANTS, pages, folder, plan)]
