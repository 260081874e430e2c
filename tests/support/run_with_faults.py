"""`dualtilt run` of a session, or of a grid, on which things go wrong.

``python -m tests.support.run_with_faults FAULTS.toml run PROTOCOL.toml ...``
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from controller.app import grid_queue, new_session
from controller.app.cli.main import main

if __name__ == "__main__":
    faults = [Path(sys.argv[1])]
    new_session.new_session = partial(new_session.new_session, faults=faults)
    grid_queue.new_grid = partial(grid_queue.new_grid, faults=faults)
    sys.argv[1:] = sys.argv[2:]
    sys.exit(main())
