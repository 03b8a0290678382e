"""Running things in pairs: A B C, A B C, …, and the ratio of each to the first of its own round."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Run = Callable[[], object]


@dataclass
class Measurement:
    """Seconds of each round, by name; the first name is what the others are compared with."""

    title: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, name: str) -> tuple[float, float, float]:
        """Median, lowest and highest of the per-round ratios to the first name."""
        base = next(iter(self.seconds.values()))
        ratios = [mine / theirs for mine, theirs in zip(self.seconds[name], base, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)

    def met(self) -> bool:
        return all(self.ratio(name)[0] <= bound for name, bound in self.bounds.items())

    def print(self) -> None:
        print(f"\n{self.title}")
        print(f"  {'':<58}{'seconds':>9}  {'ratio':>6}  {'(lowest, highest)':<18}{'bound':>6}")
        for name, rounds in self.seconds.items():
            middle, low, high = self.ratio(name)
            bound = f"{self.bounds[name]:.2f}" if name in self.bounds else ""
            mark = "" if name not in self.bounds else "  met" if middle <= self.bounds[name] else "  NOT MET"
            spread = f"({low:.2f}, {high:.2f})"
            print(
                f"  {name:<58}{statistics.median(rounds):>9.2f}  {middle:>6.2f}  {spread:<18}{bound:>6}{mark}"
                f"  {self.remarks.get(name, '')}"
            )


def measure(
    title: str,
    runs: Mapping[str, Run],
    *,
    rounds: int,
    bounds: Mapping[str, float],
    between: Callable[[], None] = lambda: None,
) -> Measurement:
    """Run everything `rounds` times, taking turns; `between` tidies up after each and is not timed."""
    result = Measurement(title, {name: [] for name in runs}, bounds=bounds)
    for number in range(rounds):
        for name, run in runs.items():
            started = time.monotonic()
            run()
            result.seconds[name].append(time.monotonic() - started)
            print(f"  round {number + 1}, {name}: {result.seconds[name][-1]:.2f} s", flush=True)
            between()
    return result


@dataclass
class Watched:
    """A program run to its end, with the most memory that it itself had resident (its children not counted)."""

    output: str
    resident: int


def run_watched(command: Sequence[str | Path], *, environment: Mapping[str, str]) -> Watched:
    """Run a program and sample VmHWM, the kernel's own high-water mark of the resident set, in bytes."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_peak(process.pid))
        time.sleep(0.02)
    output, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}:\n{output[-2000:]}\n{errors[-2000:]}")
    return Watched(output, peak)


def resident_peak(pid: int) -> int:
    """VmHWM of a process in bytes; 0 once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0
