"""What a report of a set of points says, in words and in the cells of a table."""

import numpy as np

from .cone_report import ConeReport
from .weight_cone import LEVEL

HEADER = ("n x d", "R", "R shuffled", "half-angle", "T", "cloud, 95%", "p cloud", "p mirrored", "power", "verdict",
          "controls")  # fmt: skip


def number(value: float, digits: int = 2) -> str:
    """A number with its digits, a dash for one that is not known."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def nulls_in_words(report: ConeReport) -> str:
    """What T is by chance, and the power."""
    if not len(report.test.gauss):
        return f"{report.test.points} points allow no test"
    clouds, mirrored = (np.quantile(each, 0.95) for each in (report.test.gauss, report.test.sign))
    return (f"T of clouds below {clouds:.2f} and of mirrored points below {mirrored:.2f} in 95 of 100, power "
            f"{report.test.power:.0%}")  # fmt: skip


def explained_in_words(report: ConeReport) -> str:
    """What the controls leave of a cone."""
    gone = [name for name, value in report.controls.items() if value > LEVEL]
    return f"which {' and '.join(gone)} would give too" if gone else f"with rows of one length {report.even:.2f}"


def cells(report: ConeReport) -> tuple[str, ...]:
    """One under each word of the header."""
    test, lines = report.test, report.directions
    size = f"{test.points:,} x {len(lines.axis):,}" + (f" of {report.of:,}" if report.of > test.points else "")
    null = np.quantile(test.gauss, 0.95) if len(test.gauss) else float("nan")
    low, high = report.resultant_chances
    sign = " low" if low <= 0.05 else " high" if high <= 0.05 else ""
    controls = ", ".join(f"{name} p {value:.2f}" for name, value in report.controls.items())
    return (size, f"{lines.resultant:.3f}{sign}", f"{np.median(report.shuffled):.3f}",
            f"{number(lines.half_angle, 0)}°", f"{test.statistic:.2f}", number(float(null)), f"{test.p_gauss:.2f}",
            f"{test.p_sign:.2f}", f"{test.power:.0%}", report.verdict, controls)  # fmt: skip
