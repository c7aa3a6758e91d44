"""Whether the weights of fully connected layers, and the features in front of the last, lie in a cone."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Pass, Result, Steps, at, setting
from ..cards import Card, Chart, Column, Finding, Heat, Table, card_link, layer_link
from ..checks import at_least
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.cone_report import ConeReport, cone_report
from ..formulas.cone_words import HEADER, cells, explained_in_words, nulls_in_words, number
from ..formulas.density import CONE_AXIS, MEASURES, Association, association, typicality
from ..formulas.directions import own_angles
from ..formulas.simplex import Simplex, simplex
from ..formulas.weight_cone import DRAWS, FEWEST
from ..network.classes import logits_address
from ..network.fully_connected import MOST, SIDES, classifier, fully_connected, side_report, weight_table
from ..network.specimen import Specimen
from ..statistics import Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CANCELLED = 0.05  # of the length that the sum of independent rows has, from which they sum to zero; ResNets reach .007
NEGLIGIBLE = 0.2  # rank correlation below which networks at their start give as much
TITLE, GEOMETRY, TYPICAL = "Cones of weights", "Rows of the classifier", "Typical and sure"
SEEN = Rows(images=2048)  # of which the density is told; ten of a class have to be in either half
IN_CONE = 512  # of them, points of the cone of features
READABLE = 100  # rows of which every cosine is drawn
DRAWN = 3  # sets of points drawn by `plot`


@dataclass(frozen=True, kw_only=True)
class WeightConeResult(Result):
    """Sets of points by layer and side: `rows` and `columns` of its weights, `features` that the classifier is given.

    Shapes: sets holds the state of a ConeReport each; axis_angle (U,) of every unit to the mean direction of its
    layer's. geometry is the state of the classifier's Simplex, or empty, typical those of Associations by measure.
    """

    classifier: str
    sets: dict[str, dict[str, dict[str, Any]]]
    axis_angle: dict[str, np.ndarray]
    geometry: dict[str, Any]
    shuffled_geometry: dict[str, Any]
    typical: dict[str, dict[str, Any]]

    @property
    def reports(self) -> dict[tuple[str, str], ConeReport]:
        """By layer and side."""
        return {(layer, side): ConeReport.from_state(state)
                for layer, sides in self.sets.items() for side, state in sides.items()}  # fmt: skip

    @property
    def simplex(self) -> Simplex | None:
        """The geometry of the classifier's rows, if there is a classifier."""
        return Simplex(**self.geometry) if self.geometry else None

    @property
    def zero_sum(self) -> bool:
        """Whether the classifier's rows cancel: beyond shuffled entries, and nearly all of their length."""
        found = self.simplex
        return found is not None and found.zero_sum < CANCELLED and self.reports[self.classifier, "rows"].spread

    def findings(self) -> list[Finding]:
        return [*self._of_classifier(), *self._of_hidden(), *self._of_features()]

    def _of_classifier(self) -> list[Finding]:
        found = self.simplex
        if found is None or not np.isfinite(found.zero_sum):
            return []
        report = self.reports[self.classifier, "rows"]
        start = f"The {report.of:,} rows of the classifier {self.classifier} "
        sums = f"their sum is {found.zero_sum:.3g} of what independent rows have"
        beside = (f"their mean direction has length {report.directions.resultant:.2g}, with shuffled entries "
                  f"{np.median(report.shuffled):.2g}; {nulls_in_words(report)}")  # fmt: skip
        if report.verdict == "cone":
            how = f"form a cone (T {report.test.statistic:.2f}, {explained_in_words(report)})"
            return [Finding(sentence=f"{start}{how}; {sums}", number=report.test.statistic, weight=0.5,
                            link=card_link(TITLE), control=beside)]  # fmt: skip
        if self.zero_sum:
            return [Finding(
                sentence=f"{start}form no cone from 0 but the opposite, a zero-sum simplex: {sums}, as cross-entropy "
                f"keeps it; cosines {_spread(found)}, of a simplex {found.target:.3f}", number=found.zero_sum,
                weight=0.35, link=card_link(GEOMETRY), control=f"{beside}; cosines of shuffled entries "
                f"{_spread(Simplex(**self.shuffled_geometry))}",
            )]  # fmt: skip
        how = "are too few to tell a cone" if report.verdict == "underpowered" else "form no cone"
        return [Finding(sentence=f"{start}{how} (T {report.test.statistic:.2f}); {sums}", number=found.zero_sum,
                        weight=0.15, link=card_link(TITLE), control=beside)]  # fmt: skip

    def _of_hidden(self) -> list[Finding]:
        hidden = {key: each for key, each in self.reports.items() if key[0] != self.classifier}
        able = {key: each for key, each in hidden.items() if each.verdict != "underpowered"}
        cones = {key: each for key, each in able.items() if each.verdict == "cone"}
        if not able:
            return []
        (layer, side), most = max(able.items(), key=lambda item: item[1].test.statistic)
        robust = sum(each.robust for each in cones.values())
        rest = f"; {robust} of them beyond what norms and sparsity give" if cones else ""
        return [Finding(
            sentence=f"Weights of hidden fully connected layers form a cone in {len(cones)} of {len(able)} sets of "
            f"rows and columns that are large enough, most clearly the {side} of {layer} "
            f"(T {most.test.statistic:.2f}){rest}", number=len(cones), weight=0.2 + 0.3 * len(cones) / len(able),
            link=layer_link(layer),
            control=f"there {nulls_in_words(most)}; without cones 1 in 100 sets at most would be one",
        )]  # fmt: skip

    def _of_features(self) -> list[Finding]:
        report = self.reports.get((self.classifier, "features"))
        found = self.associations.get("density")
        if report is None or found is None or not np.isfinite(found.value):
            return []
        axis = self.associations[CONE_AXIS].value
        tells = abs(found.value) > max(found.shuffled, NEGLIGIBLE)
        how = ("The more densely" if found.value > 0 else "The less densely") if tells else "How densely"
        then = ", the surer the network is of it" if tells else " says little about how sure the network is"
        return [Finding(
            sentence=f"{how} the features of a class lie around an image{then}: rank correlation {found.value:.2f} on "
            f"{found.images:,} held-out images; of the angle to the cone's axis {number(axis)}",
            number=found.value, weight=0.2 + 0.2 * tells, link=card_link(TYPICAL),
            control=f"shuffled below {found.shuffled:.2f} in 95 of 100; at equal norm {number(found.at_equal_norm)}",
        )]  # fmt: skip

    @property
    def associations(self) -> dict[str, Association]:
        """How the density of features, and their angles to axes, go with confidence; none without images."""
        return {name: Association(**state) for name, state in self.typical.items()}

    def columns(self) -> list[Column]:
        return [Column(
            name="axis angle", values=self.axis_angle, how_to_read="Degrees between a unit's weights and the mean "
            "direction of its fully connected layer's; about 90 where there is no cone from 0.",
        )]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple((layer, side, *cells(report)) for (layer, side), report in self.reports.items())
        table = Card(
            title=TITLE, content=Table(header=("layer", "points", *HEADER), rows=rows,
                                       links=tuple(layer_link(layer) for layer, _ in self.reports)),
            how_to_read="R: length of the mean of points of length 1, 1 for a narrow cone from 0; the half-angle holds "
            "95% of them. T: how far points spread more along one of three principal axes, a cone with its apex "
            "anywhere. A cone is what neither a cloud of the same variances nor points mirrored at 0 reach in 99 "
            f"draws. Power: how often a cone of 35 degrees with as many points would be seen; below {FEWEST} points "
            "nothing is said.",
            control="Cloud and mirrored are nulls of T. Controls of a cone, p: rows of one length, clouds with the "
            "same norms, columns as sparse: what of it these explain.",
        )  # fmt: skip
        return [table, self._chart(), *self._geometry_cards(), *self._typical_card()]

    def _chart(self) -> Card:
        reports = list(self.reports.values())
        nulls = [each.test.gauss if len(each.test.gauss) else np.zeros(1) for each in reports]
        return Card(
            title="T through the layers", control="The band holds 95% of clouds of the same variances.",
            how_to_read="The statistic of the cone with a free apex, of rows and columns in order of depth; above the "
            "band it is more than a cloud.",
            content=Chart(kind="lines", x=np.arange(len(reports)), x_label=", ".join(
                f"{place}: {layer} {side}" for place, (layer, side) in list(enumerate(self.reports))[:12]),
                          y_label="T", series=(("T", np.array([each.test.statistic for each in reports])),),
                          band=np.array([[np.quantile(each, q) for each in nulls] for q in (0.0, 0.95)])),
        )  # fmt: skip

    def _geometry_cards(self) -> list[Card]:
        found = self.simplex
        if found is None:
            return []
        beside = Simplex(**self.shuffled_geometry)
        rows = tuple(
            (words, number(getattr(found, name), 4), number(getattr(beside, name), 4))
            for words, name in (("length of the sum, beside independent rows", "zero_sum"),
                                ("spread of norms", "norm_spread"), ("distance of cosines from a simplex", "gap"))
        )  # fmt: skip
        cards = [Card(
            title=GEOMETRY, control="Last column: the same weights with all entries shuffled.",
            how_to_read=f"Rows of {self.classifier} that are the corners of a simplex about 0 sum to 0, have one norm "
            f"and cosines of {number(found.target, 3)}. Cross-entropy never moves their sum, weight decay shrinks it: "
            "where a softmax takes the logits as they are, no cone from 0 can come of it.",
            content=Table(header=("", "rows", "shuffled"), rows=rows),
        )]  # fmt: skip
        if 1 < len(found.cosines) <= READABLE:
            names = tuple(map(str, range(len(found.cosines))))
            cards.append(Card(
                title="Cosines of the classifier's rows", control=f"Of a simplex: {found.target:.3f} everywhere.",
                how_to_read="Cosine of every pair of rows, less their mean.",
                content=Heat(values=found.cosines, rows=names, columns=names, row_label="output",
                             column_label="output", signed=True),
            ))  # fmt: skip
        return cards

    def _typical_card(self) -> list[Card]:
        rows = tuple(
            (name, number(found.value), number(found.shuffled), number(found.at_equal_norm), found.images)
            for name, found in self.associations.items()
        )
        return [Card(
            title=TYPICAL, content=Table(header=("of an image's features", "rank correlation with confidence",
                                                 "95% of shuffles", "at equal norm", "images"), rows=rows),
            how_to_read="Density: minus the angle to the tenth nearest image of another half that is given the same "
            "class. Axes are mean directions there, of the class and of all. Below .2 a correlation is negligible.",
            control="Confidences shuffled among images; at equal norm: what is left at features of one length.",
        )] if rows else []  # fmt: skip

    def plot(self) -> "Figure":
        """The sets with the largest T on their first two principal axes, beside each T its null."""
        chosen = sorted(self.reports.items(), key=lambda item: -item[1].test.statistic)[:DRAWN]
        figure = new_figure(2, len(chosen), size=(3.4 * len(chosen), 6.0))
        grid = np.array(figure.axes).reshape(2, len(chosen))
        for above, below, ((layer, side), report) in zip(*grid, chosen, strict=True):
            scores = np.pad(report.test.scores, ((0, 0), (0, max(0, 2 - report.test.scores.shape[1]))))
            above.plot(scores[:, 0], scores[:, 1], ".", markersize=3)
            above.set(title=f"{layer}, {side}", xlabel="first axis", ylabel="second axis")
            below.hist([report.test.gauss, report.test.sign], bins=20, label=["cloud", "mirrored"])
            below.axvline(report.test.statistic, color="black", label="T")
            below.set(xlabel="T", ylabel="draws")
        grid[1, 0].legend(fontsize=7)
        return figure


def _spread(found: Simplex) -> str:
    return f"{found.pairs.mean():.3f} ± {found.pairs.std():.3f}" if len(found.pairs) else "none"


@dataclass(frozen=True, kw_only=True)
class WeightCone(Analysis):
    """Do the weights of fully connected layers lie in a cone?"""

    topic = "further"
    result = WeightConeResult

    draws: int = setting(99, help="of every null")

    def check(self, specimen: Specimen) -> None:
        at_least("weight_cone.draws", self.draws, DRAWS)
        if not fully_connected(specimen.model):
            raise NotApplicable(f"{specimen.model.name} has no fully connected layer", "Cones of weights are those of "
                                "linear layers, and of a 1x1 convolution that classifies",
                                "Read filters, which is of all layers")  # fmt: skip

    def limits(self, specimen: Specimen) -> list[Limit]:
        names = fully_connected(specimen.model)
        sizes = [size for name in names for size in specimen.model.weight(name).shape[:2]]
        large, small = sum(size > MOST[specimen.effort] for size in sizes), sum(size < FEWEST for size in sizes)
        found = []
        if small:
            found.append(Limit(f"{small} of {len(sizes)} sets of rows and columns are of fewer than {FEWEST} points, "
                               "too few to tell a cone", "Read the geometry of the classifier's rows"))  # fmt: skip
        if large and specimen.effort != "full":
            found.append(Limit(f"of {large} of {len(sizes)} sets some points are drawn",
                               "Give --effort full for more of them"))  # fmt: skip
        return found

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        model, names, last = specimen.model, fully_connected(specimen.model), classifier(specimen.model)
        items = tuple((layer, side) for layer in names for side in SIDES)
        found = yield Jobs(
            key=f"cones of weights, {self.draws} draws, {specimen.effort}", items=items,
            words="cones of fully connected weights",
            function=lambda some: [
                dataclasses.asdict(side_report(specimen, layer, side, self.draws)) for layer, side in some
            ],
        )  # fmt: skip
        sets: dict[str, dict[str, Any]] = {layer: {} for layer in names}
        for (layer, side), state in zip(items, found, strict=True):
            sets[layer][side] = state
        typical: dict[str, dict[str, Any]] = {}
        if last and specimen.images is not None and specimen.sites[last].batched:
            rows = yield Pass(features=at(f"{last}:in", SEEN), outputs=at(str(logits_address(model)), SEEN))
            seen = rows["features"].values, rows["outputs"].values
            if len(seen[0]) >= FEWEST and np.isfinite(seen[0]).all():
                ((sets[last]["features"], typical),) = yield Jobs(
                    key=f"cone of features, {self.draws} draws", words="cone of the features", items=(seen,),
                    function=lambda some: [
                        _of_features(features, outputs, self.draws, specimen.seed) for features, outputs in some
                    ],
                )  # fmt: skip
        table = weight_table(model, last) if last else np.zeros((0, 0))
        shuffled = np.random.default_rng(specimen.seed).permuted(table)
        return WeightConeResult(
            classifier=last, sets=sets, typical=typical,
            axis_angle={k: own_angles(weight_table(model, k)) for k in names},
            geometry=dataclasses.asdict(simplex(table)) if last else {},
            shuffled_geometry=dataclasses.asdict(simplex(shuffled)) if last else {},
        )  # fmt: skip


def _of_features(features: np.ndarray, outputs: np.ndarray, draws: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """The states of the report of feature vectors, and of how what is typical goes with confidence."""
    report = cone_report(features[:IN_CONE], len(features), draws, (seed, len(SIDES)), features=True)
    found = typicality(features, outputs, seed)
    return dataclasses.asdict(report), {
        name: dataclasses.asdict(association(found[name], found["confidence"], found["norm"], seed))
        for name in MEASURES
    }
