"""Measure what is promised of speed and memory: `make bench`.

Each file measures in a process of its own, so that no figure pays for another's memory. Ratios
are of two things measured side by side in one run. A busy machine misses targets: run it alone.
"""

import subprocess
import sys

_FILES = ("edge_path", "requests", "serial_lines", "faults", "formation_scale", "genealogy", "sink")


def main() -> int:
    """Run all measurements, or those named; return how many of them missed a target."""
    names = sys.argv[1:] or _FILES
    runs = [
        subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False) for name in names
    ]
    return sum(run.returncode != 0 for run in runs)


if __name__ == "__main__":
    sys.exit(main())
