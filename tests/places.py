"""Where the clone is, and the folder beside it whose data some tests try when it is there."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
