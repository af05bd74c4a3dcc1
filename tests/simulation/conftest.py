"""The simulation's modules lie in `simulated`; tests are no package, so the way to them is told here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
