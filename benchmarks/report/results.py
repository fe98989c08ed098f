"""What was measured, and where it is found again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace

from ..limits import Limits, Machine
from .sweeps import Spec, Sweep, sweeps


@dataclass(frozen=True)
class Row:
    """One measurement of one library; `skipped` says why there is none."""

    seconds: float | None = None
    calls: int = 0
    bytes: int | None = None
    error: float | None = None
    skipped: str | None = None


@dataclass
class Results:
    about: dict[str, object]
    sweeps: tuple[Sweep, ...]
    peers: list[str]
    versions: dict[str, str]
    missing: list[str]
    machines: dict[str, Machine]
    rows: dict[tuple[str, str, Spec], Row] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)

    def get(self, sweep: Sweep, peer: str, spec: Spec) -> Row | None:
        return self.rows.get((sweep.name, peer, spec))

    def limit(self, spec: Spec) -> float | None:
        machine = self.machines.get(spec.dtype)
        return machine.limits.seconds(spec.case) if machine else None

    def mark(self, row: Row | None) -> str:
        """A letter for why there is no measurement, explained at the end of the report."""
        if row is None or row.skipped is None:
            return ""
        if row.skipped == "has no such function":
            return "-"
        reason = row.skipped
        return (
            "("
            + self.marks.setdefault(reason, chr(ord("a") + len(self.marks) % 26) * (1 + len(self.marks) // 26))
            + ")"
        )

    def as_dict(self) -> dict:
        return {
            "about": self.about,
            "versions": self.versions,
            "limits": {dtype: machine.limits.as_dict() for dtype, machine in self.machines.items()},
            "rows": [
                {"sweep": sweep, "peer": peer, **asdict(spec), **asdict(row), "limit": self.limit(spec)}
                for (sweep, peer, spec), row in self.rows.items()
            ],
        }

    @classmethod
    def from_dict(cls, found: dict) -> Results:
        """What `as_dict` returned, read from a file: it can be shown again, but no more be measured."""
        rows = {}
        for row in found["rows"]:
            spec = Spec(**{name: row[name] for name in Spec.__dataclass_fields__})
            rows[row["sweep"], row["peer"], spec] = Row(**{name: row[name] for name in Row.__dataclass_fields__})
        measured = {sweep: [spec for name, _, spec in rows if name == sweep] for sweep, _, _ in rows}
        chosen = tuple(replace(s, specs=tuple(dict.fromkeys(measured[s.name]))) for s in sweeps(False) if s.name in measured)
        machines = {dtype: SimpleNamespace(limits=Limits(**limits)) for dtype, limits in found["limits"].items()}
        return cls(found["about"], chosen, list(found["versions"]), found["versions"], [], machines, rows)
