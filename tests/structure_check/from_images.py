"""The structure of particles that the images of simulated series show, against the true one."""

from __future__ import annotations

from processing import ProcessSettings, combine_series, process_series
from processing.structure.errors import errors_of_the_fit
from simulator.rigid import fit_rigid
from simulator.settings import Packing
from tests.calibration.cases import Case as Recording
from tests.structure_check.measure import FCC_EDGE_NM, Case, Row, Truth, compared, true_analysis
from tests.support.recorded import as_read

STEP_DEG = 3.0


def measure_from_images(packing: Packing, size_nm: float, seed: int) -> list[Row]:
    """Return one row for A, for B, and for both series, with tilts every 3 degrees."""
    recording = Recording(size_nm, packing, STEP_DEG, seed)
    data = recording.record()
    true_nm = data.truth.centres_nm
    diameter_nm = float(data.truth.diameters_nm.mean())
    settings = ProcessSettings(second_size=False)
    a = process_series(as_read(data.a, recording.pixel_nm, "A"), settings)
    b = process_series(as_read(data.b, recording.pixel_nm, "B"), settings)
    both = combine_series(a, b, settings)
    true = true_analysis(true_nm)
    edge = true.summary.lattice_constant_nm
    truth = Truth(true_nm, true, FCC_EDGE_NM if edge is None else edge.value)
    rows = []
    for name, table in (
        ("A", a.detection.table),
        ("B", both.table_b),
        ("both", both.detection.table),
    ):
        to_truth = fit_rigid(true_nm, table.centres_nm, 2 * diameter_nm, diameter_nm / 4)
        assert to_truth is not None
        case = Case(packing, name, seed)
        error = errors_of_the_fit(table.centre_se_nm)
        rows.append(compared(case, truth, to_truth(table.centres_nm), error))
    return rows
