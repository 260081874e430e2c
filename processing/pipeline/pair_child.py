"""Child process that processes one series: reads it from stdin, writes its result to stdout."""

from __future__ import annotations

import os
import pickle
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

from processing.errors import ProcessingError

if TYPE_CHECKING:
    from processing.device import DeviceName


def main(source: BinaryIO, sink: BinaryIO, device: DeviceName) -> None:
    """Read a series with its settings, and write its result or its error."""
    from processing.device import load_in_background
    from processing.parallel import THREADS_VARIABLE
    from processing.pipeline.series_search import SeriesResult
    from processing.pipeline.single import process_series

    load_in_background(device)
    series, settings, threads = pickle.load(source)
    if threads is not None:
        os.environ[THREADS_VARIABLE] = threads
    outcome: SeriesResult | ProcessingError
    try:
        outcome = process_series(series, settings)
    except ProcessingError as error:
        outcome = error
    pickle.dump(outcome, sink, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    # anything that a library prints goes to stderr, so that it cannot damage the result
    with os.fdopen(os.dup(1), "wb") as sink:
        os.dup2(2, 1)
        main(sys.stdin.buffer, sink, cast("DeviceName", sys.argv[1]))
