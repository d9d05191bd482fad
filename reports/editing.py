"""The chapters on editing: the directions and whether they do what they are called, and every method's edits."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from reports.claims.evidence import FEWEST
from reports.editing_pictures import gamma_words
from reports.model import Block, Cell, Column, Figure, Heading, Pair, Paragraph, Row, Section, Span, Table, Text, text
from reports.ranking import Mark, marks
from reports.read_edits import Directions, Edits, number
from reports.tabulate import MARKING_NOTE, plain

UNITS = {"age": "years", "yaw": "degrees", "smile": "pixels", "brightness": "share of white"}
"""Other attributes are shares of the picture."""
_FINDERS = {"interfacegan": "InterFaceGAN", "ganspace": "GANSpace", "sefa": "SeFa"}
_EMBEDDED = "† Measured with judges trained on the embedded domain; not comparable with published numbers. "


def unit_of(attribute: str) -> str:
    """What an attribute is counted in."""
    return UNITS.get(attribute, "share of the picture")


def _cell(value: float, decimals: int, mark: Mark = "", missing: str = "–") -> Cell:
    if not math.isfinite(value):
        return Cell(text=missing)
    return Cell(text=f"{value:.{decimals}f}".replace("-", "−"), value=value, mark=mark)


def _decimals(attribute: str) -> int:
    return {"age": 2, "yaw": 2, "smile": 2}.get(attribute, 4)


def _yes(good: bool) -> Cell:
    return Cell(text="yes" if good else "no", value=str(good).lower(), mark="" if good else "failed")


def _largest_other(entry: Mapping[str, Any]) -> tuple[str, float]:
    others = {name: effect for name, effect in entry["effects"].items() if name != entry["attribute"]}
    if not others:
        return "none", math.nan
    name = max(others, key=lambda one: abs(others[one]))
    return name, float(others[name])


def directions_table(found: Directions) -> Table:
    """Every direction, what it is called and what it did to fresh samples."""
    gammas = found.measured["gammas"]
    low, high = gamma_words(gammas[0]), gamma_words(gammas[-1])
    labels = {
        "direction": "Direction", "finder": "Finder", "component": "Comp.", "rows": "Styles", "attribute": "Raises",
        "low": f"γ = {low}", "high": f"γ = {high}", "rising": "Rising", "own": "Effect", "other": "Largest other",
        "other_effect": "Its effect", "perceptual": "LPIPS†", "pixels": "Classes", "monotone": "Monotone",
        "others_less": "Others less",
    }  # fmt: skip
    words = {"direction", "finder", "attribute", "other", "rows", "monotone", "others_less"}
    hidden = ("component", "rows", "pixels")  # the figures' captions have the first two
    columns = [Column(key=key, label=label, align="left" if key in words else "right",
                      only="csv" if key in hidden else "") for key, label in labels.items()]  # fmt: skip
    rows = []
    for name, entry in found.entries.items():
        attribute, (other, other_effect) = entry["attribute"], _largest_other(entry)
        decimals, component = _decimals(attribute), int(entry["component"])
        rows.append(Row(cells=[
            plain(name), plain(_FINDERS[entry["finder"]]),
            Cell(text="–") if component < 0 else plain(component),
            plain(f"{entry['rows'][0]} to {entry['rows'][1] - 1}"), plain(attribute),
            _cell(number(entry["changes"][0], "mean"), decimals), _cell(number(entry["changes"][-1], "mean"), decimals),
            _cell(entry["rising_share"], 2), _cell(entry["effects"][attribute], 2), plain(other),
            _cell(other_effect, 2), _cell(sum(entry["perceptual"]) / 2, 3), _cell(sum(entry["changed_pixels"]) / 2, 3),
            _yes(entry["monotone"]), _yes(entry["others_less"]),
        ]))  # fmt: skip
    units = ", ".join(f"{name}: {unit_of(name)}" for name in dict.fromkeys(
        entry["attribute"] for entry in found.entries.values()))  # fmt: skip
    accuracies = [number(entry, "accuracy") for entry in found.entries.values()]
    known = [value for value in accuracies if math.isfinite(value)]
    notes = [
        text(f"γ columns: mean change of the attribute named, over {found.measured['samples']} samples that "
             f"no direction was found on ({units}). Rising: share of single steps of γ at which single samples rise. "
             "Effects: change over all of γ in standard deviations of the attribute over the generator's samples. "
             "LPIPS: distance from the sample to either end."),
        text(f"One γ is {found.measured['deviations_per_gamma']:g} standard deviations of w along the direction. "
             f"`{found.measured['protocol']}`. " + _EMBEDDED),
    ]  # fmt: skip
    if known:
        notes.insert(1, text(f"InterFaceGAN's boundaries split {100 * min(known):.1f} to {100 * max(known):.1f} % of "
                             f"their validation samples; {found.measured['labelled_samples']:,} samples were "
                             "labelled."))  # fmt: skip
    holds = sum(bool(entry["holds"]) for entry in found.entries.values())
    return Table(
        identifier=f"directions-{found.domain}",
        caption=text(f"Directions of **{found.domain}**: {holds} of {len(rows)} do what they say, that is, raise "
                     "their attribute at every step and every other attribute less."),
        columns=columns, rows=rows, notes=notes, small=True,
    )  # fmt: skip


def directions_section(found: Sequence[Directions], drawn: Collection[str]) -> Section:
    """What each direction does to the generator's own samples."""
    blocks: list[Block] = [Paragraph(text=text(
        "InterFaceGAN's directions are boundaries between labelled samples, with what they share with other attributes "
        "projected out. GANSpace's and SeFa's have no names of their own: the judges gave them on samples other than "
        "those that the check below uses. All are moved on the generator's samples, before any inversion."
    ))]  # fmt: skip
    for one in found:
        blocks.append(Heading(title=one.domain.capitalize()))
        if not one.measured:
            blocks.append(Paragraph(text=text(f"Not found yet: `reinvert directions --domain {one.domain}` does it.")))
            continue
        blocks.append(directions_table(one))
        figures = []
        for name, entry in one.entries.items():
            identifier = f"direction-{one.domain}-{name}"
            if identifier in drawn:
                sort = "" if entry["component"] < 0 else (
                    f", component {entry['component']} on styles {entry['rows'][0]} to {entry['rows'][1] - 1}"
                )  # fmt: skip
                figures.append(Figure(
                    identifier=identifier,
                    caption=text(f"**{name}** on {one.domain} ({_FINDERS[entry['finder']]}{sort}) raises "
                                 f"{entry['attribute']}. Samples by row, γ by column."),
                    alternative=f"Samples of {one.domain} moved along the direction {name}",
                ))  # fmt: skip
        blocks += [Pair(left=left, right=right) for left, right in zip(figures[::2], figures[1::2], strict=False)]
        blocks += [figure.model_copy(update={"width": 0.5}) for figure in figures[len(figures) // 2 * 2 :]]
    return Section(identifier="directions", title="Editing directions", blocks=blocks, new_page=True)


def _full(runs: Sequence[Edits]) -> int:
    return max((run.n for run in runs if not run.reason), default=0)


def _marks(
    runs: Sequence[Edits], values: Sequence[float], direction: Literal["lower", "higher"], decimals: int
) -> list[Mark]:
    """Among the runs with as many images as any: means over other images are not the same measurement."""
    most = _full(runs)
    return marks([value if run.n == most else None for run, value in zip(runs, values, strict=True)], direction,
                 decimals)  # fmt: skip


def _rows(runs: Sequence[Edits], columns: Sequence[tuple[Sequence[float], int, Sequence[Mark]]]) -> list[Row]:
    rows = []
    for place, run in enumerate(runs):
        if run.reason:
            rows.append(Row(cells=[plain(run.method), *[Cell(text="–")] * (len(columns) + 2)]))
            continue
        cells = [plain(run.method)]
        cells += [_cell(values[place], decimals, rank[place] if rank else "") for values, decimals, rank in columns]
        rows.append(Row(cells=[*cells, plain(run.n), plain(int(run.measured["n_failed"]))]))
    return rows


def _ends(runs: Sequence[Edits]) -> list[Column]:
    """Images, and failures: in the report only where there are any."""
    broken = any(run.measured.get("n_failed") for run in runs if not run.reason)
    return [Column(key="n", label="n"), Column(key="n_failed", label="Failed", only="" if broken else "csv")]


_METHOD = Column(key="method", label="Method", align="left")


def _joined(table: Table) -> Table:
    """The table with every two columns of an interval's ends in one, and the ends themselves in the CSV file only."""
    columns: list[Column] = []
    rows: list[list[Cell]] = [[] for _ in table.rows]
    for place, column in enumerate(table.columns):
        if column.key.endswith("_low"):
            base = column.key.removesuffix("_low")
            label = column.label.removesuffix("low").strip() or "95 % interval"
            columns.append(Column(key=f"{base}_interval", label=label, only="report"))
            for line, row in zip(rows, table.rows, strict=True):
                ends = [row.cells[place].text, row.cells[place + 1].text]
                few = isinstance(n := row.cells[-2].value, int) and n < FEWEST
                line.append(Cell(text="–" if few or "–" in ends else " to ".join(ends)))
        ends_only = column.key.endswith(("_low", "_high"))
        columns.append(column.model_copy(update={"only": "csv"}) if ends_only else column)
        for line, row in zip(rows, table.rows, strict=True):
            line.append(row.cells[place])
    return table.model_copy(update={"columns": columns, "rows": [Row(cells=line) for line in rows]})


def change_table(domain: str, name: str, runs: Sequence[Edits]) -> Table:
    """HyperInverter's Table 2 for one direction: methods by row, gammas by column."""
    sample = next(run for run in runs if not run.reason).measured
    entry = sample["directions"][name]
    attribute, decimals = entry["attribute"], _decimals(entry["attribute"])
    places = [place for place, gamma in enumerate(sample["gammas"]) if gamma != 0]
    of = [run.measured.get("directions", {}).get(name) for run in runs]

    def values(pick: Any) -> list[float]:
        return [math.nan if one is None else float(pick(one)) for one in of]

    columns: list[Column] = [_METHOD]
    cells: list[tuple[Sequence[float], int, Sequence[Mark]]] = []
    for place in places:
        gamma = sample["gammas"][place]
        change = values(lambda one, place=place: number(one["changes"][place], "mean"))
        rank = _marks(runs, change, "higher" if gamma > 0 else "lower", decimals)
        columns.append(Column(key=f"gamma_{gamma:g}", label=f"γ = {gamma_words(gamma)}"))
        cells.append((change, decimals, rank))
    slope = values(lambda one: number(one["per_gamma"], "mean"))
    columns += [Column(key="per_gamma", label="Per γ"), Column(key="per_gamma_low", label="low"),
                Column(key="per_gamma_high", label="high"), Column(key="selectivity", label="Own/other"),
                Column(key="perceptual", label="LPIPS", dagger=True),
                Column(key="changed_pixels", label="Classes"), *_ends(runs)]  # fmt: skip
    cells += [
        (slope, decimals, _marks(runs, slope, "higher", decimals)),
        (values(lambda one: number(one["per_gamma"], "low")), decimals, []),
        (values(lambda one: number(one["per_gamma"], "high")), decimals, []),
        (values(lambda one: number(one, "selectivity")), 2, []),
        (values(lambda one: sum(number(end, "mean") for end in one["perceptual"]) / 2), 3, []),
        (values(lambda one: sum(number(end, "mean") for end in one["changed_pixels"]) / 2), 3, []),
    ]
    wavering = [run.method for run, one in zip(runs, of, strict=True) if one is not None and not one["monotone"]]
    notes = [
        text(f"{MARKING_NOTE} They compare the methods that were given {_full(runs)} images: means over other images "
             "are another measurement. Per γ: least-squares slope, with its bootstrap 95 % interval."),
        text("Own/other: effect on this attribute over the largest effect on another, in the attributes' own spreads. "
             "LPIPS and Classes: distance, and share of pixels whose class changes, from the unedited to the outermost "
             f"images. `{sample['protocols']['changes']}`. " + _EMBEDDED),
    ]  # fmt: skip
    if wavering:
        notes.insert(1, text("Not monotone in γ: " + ", ".join(wavering) + "."))
    return _joined(Table(
        identifier=f"change-{domain}-{name}",
        caption=text(f"Change of **{attribute}** ({unit_of(attribute)}) on **{domain}** along {name} "
                     f"({_FINDERS[entry['finder']]}), layout of HyperInverter's Table 2."),
        columns=columns, rows=_rows(runs, cells), notes=notes + _reasons(runs), small=True,
    ))  # fmt: skip


def _resampled(runs: Sequence[Edits]) -> list[Edits]:
    """Those of enough images: of fewer a bootstrap has no interval worth printing."""
    return [run for run in runs if not run.reason and run.n >= FEWEST]


_RESAMPLED = f"Methods that were given {FEWEST} images or more: of fewer a bootstrap has no interval worth printing."


def interval_tables(domain: str, name: str, runs: Sequence[Edits]) -> list[Table]:
    """The bootstrap intervals of the means of `change_table`; none where no run has enough images."""
    runs = _resampled(runs)
    if not runs:
        return []
    sample = runs[0].measured
    attribute = sample["directions"][name]["attribute"]
    columns: list[Column] = [_METHOD]
    cells: list[tuple[Sequence[float], int, Sequence[Mark]]] = []
    for place, gamma in enumerate(sample["gammas"]):
        if gamma == 0:
            continue
        for end in ("low", "high"):
            columns.append(Column(key=f"gamma_{gamma:g}_{end}", label=f"{gamma_words(gamma)} {end}"))
            cells.append((
                [number(run.measured["directions"][name]["changes"][place], end) for run in runs],
                _decimals(attribute), [],
            ))  # fmt: skip
    table = Table(
        identifier=f"change-intervals-{domain}-{name}",
        caption=text(f"Bootstrap 95 % intervals of [[change-{domain}-{name}]]."),
        columns=[*columns, *_ends(runs)], rows=_rows(runs, cells), small=True,
        notes=[text(_RESAMPLED), text(f"Protocol: `{sample['protocols']['changes']}`.")],
    )  # fmt: skip
    return [_joined(table)]


def quality_table(domain: str, runs: Sequence[Edits]) -> Table:
    """Edited images and codes: FID, KID, ID, consistency, end points of interpolation."""
    sample = next(run for run in runs if not run.reason).measured

    def value(run: Edits, *path: str) -> float:
        entry: Any = run.measured
        for key in path[:-1]:
            entry = None if entry is None else entry.get(key)
        return number(entry, path[-1])

    edited, lec, ends = "Edited images", "LEC", "Ends"
    wanted: list[tuple[str, str, str, Literal["lower", "higher", ""], int, bool, tuple[str, ...]]] = [
        ("fid_edited", edited, "FID", "lower", 2, True, ("edited", "fid", "value")),
        ("kid_edited", edited, "KID", "lower", 3, True, ("edited", "kid", "value")),
        *[(f"{name}_edited_{end}", edited, f"{name.upper()} {end}", "", decimals, True, ("edited", name, end))
          for name, decimals in (("fid", 2), ("kid", 3)) for end in ("low", "high")],
        ("edited", edited, "n", "", 0, False, ("edited", "kid", "n")),
        ("id_edited", edited, "ID", "higher", 3, True, ("edited", "id", "mean")),
        ("consistency_code", lec, "code", "lower", 3, False, ("consistency", "code", "mean")),
        ("consistency_lpips", lec, "LPIPS", "lower", 3, True, ("consistency", "perceptual", "mean")),
        ("consistency_n", lec, "n", "", 0, False, ("consistency", "code", "n")),
        ("endpoint_code", ends, "code", "lower", 3, True, ("interpolation", "code", "endpoint_lpips", "mean")),
        ("endpoint_code_and_weights", ends, "all", "lower", 3, True,
         ("interpolation", "code_and_weights", "endpoint_lpips", "mean")),
    ]  # fmt: skip
    columns: list[Column] = [_METHOD]
    cells: list[tuple[Sequence[float], int, Sequence[Mark]]] = []
    for key, group, label, direction, decimals, dagger, path in wanted:
        values = [value(run, *path) for run in runs]
        if key == "id_edited" and not any(math.isfinite(one) for one in values):
            continue
        arrow: Literal["", "↓", "↑"] = "" if not direction else "↓" if direction == "lower" else "↑"
        only: Literal["", "csv"] = "csv" if key == "consistency_n" or key.endswith(("_low", "_high")) else ""
        columns.append(Column(key=key, label=label, direction=arrow, dagger=dagger, group=group, only=only))
        cells.append((values, decimals, _marks(runs, values, direction, decimals) if direction else []))
    gammas, protocols = sample["gammas"], sample["protocols"]
    measured = ("edited_fid", "edited_kid", "edited_id", "consistency", "endpoint_lpips")
    ids = ", ".join(f"`{protocols[name]}`" for name in measured)
    return Table(
        identifier=f"edited-{domain}",
        caption=text(f"Edited images on **{domain}** (E2Style's Table II, Feature-Style's Table 2), latent editing "
                     "consistency (e4e) and the end points of interpolation (HyperInverter, section 4.6)."),
        columns=[*columns, *_ends(runs)], rows=_rows(runs, cells), small=True,
        notes=[
            text(f"{MARKING_NOTE} They compare the methods that were given {_full(runs)} images. FID, KID and ID: of "
                 f"images edited along {', '.join(sample['directions'])} at γ = {gamma_words(gammas[0])} and "
                 f"{gamma_words(gammas[-1])}; FID only from {sample['settings']['fid_images']} edited images on."),
            text(f"LEC: edit along {sample['consistency']['direction']} by γ = "
                 f"{gamma_words(sample['consistency']['gamma'])}, draw, invert, edit back; distance of the codes in "
                 "spreads of W, and LPIPS of the images. Ends: LPIPS from the inputs to the ends of interpolation by "
                 "codes through the generator as it is, and by all that the method leaves behind."),
            text(f"Protocols: {ids}. " + _EMBEDDED), *_reasons(runs),
        ],
    )  # fmt: skip


def mixing_tables(domain: str, runs: Sequence[Edits]) -> list[Table]:
    """Which share of every attribute follows the content image in style mixing; the intervals where some are known."""
    sample = next(run for run in runs if not run.reason).measured
    names = list(sample["mixing"]["follows_content"])

    def rows(runs: Sequence[Edits], cell: Callable[[Mapping[str, Any]], Cell]) -> list[Row]:
        made = []
        for run in runs:
            if run.reason:
                made.append(Row(cells=[plain(run.method), *[Cell(text="–")] * (len(names) + 2)]))
                continue
            mixing = run.measured["mixing"]
            shares = [mixing["follows_content"][name] for name in names]
            cells = [cell(share) for share in shares]
            made.append(Row(cells=[plain(run.method), plain(mixing["content_from"]), *cells, plain(shares[0]["n"])]))
        return made

    def between(share: Mapping[str, Any]) -> Cell:
        ends = [number(share, "low"), number(share, "high")]
        if not all(math.isfinite(end) for end in ends) or int(share["n"]) < FEWEST:
            return Cell(text="–")
        words = " to ".join(f"{end:.2f}" for end in ends)
        return Cell(text=words.replace("-", "−"), value=words)

    columns = [
        _METHOD, Column(key="content_from", label="Content", align="left"),
        *(Column(key=name, label=name.capitalize()) for name in names), Column(key="n", label="n"),
    ]  # fmt: skip
    tables = [
        Table(
            identifier=f"mixing-shares-{domain}",
            caption=text(f"Style mixing on **{domain}**: the share of each attribute that follows the image that gives "
                         "the content, the rest following the image that gives the looks."),
            columns=columns, rows=rows(runs, lambda share: _cell(number(share, "mean"), 2)), small=True,
            notes=[text(f"Content: styles before style {sample['settings']['mixing_row']}, or the feature of methods "
                        "that predict one. 1: all of it, 0: none; outside of that, the mixture has more or less of it "
                        f"than either image. `{sample['protocols']['follows_content']}`."), *_reasons(runs)],
        )
    ]  # fmt: skip
    if many := _resampled(runs):
        tables.append(Table(
            identifier=f"mixing-intervals-{domain}",
            caption=text(f"Bootstrap 95 % intervals of [[mixing-shares-{domain}]]."),
            # Which methods have a feature is said once, by the table of means.
            columns=[one.model_copy(update={"only": "csv"}) if one.key == "content_from" else one for one in columns],
            rows=rows(many, between), small=True,
            notes=[text(_RESAMPLED), text(f"Protocol: `{sample['protocols']['follows_content']}`.")],
        ))  # fmt: skip
    return tables


def _reasons(runs: Sequence[Edits]) -> list[Text]:
    """Spans made by hand, because a reason is anybody's text."""
    found: dict[str, list[str]] = {}
    for run in runs:
        if run.reason:
            found.setdefault(run.reason.rstrip("."), []).append(run.method)
    return [[Span(text=", ".join(methods), style="strong"), Span(text=f": {why}.")] for why, methods in found.items()]


def editability_section(runs: Sequence[Edits], drawn: Collection[str]) -> Section:
    """Every method's edits of the same images."""
    blocks: list[Block] = [Paragraph(text=text(
        "The same directions and strengths on what every method left of the same test images, edited in the method's "
        "own way: HFGI realigns its distortion map, Feature-Style moves its feature, PTI and HyperInverter keep their "
        "weights. A larger change at equal γ is better only as far as the edited image stays true; read the tables "
        "together."
    ))]  # fmt: skip
    for domain in dict.fromkeys(run.domain for run in runs):
        of = [run for run in runs if run.domain == domain]
        blocks.append(Heading(title=domain.capitalize()))
        done = [run for run in of if not run.reason]
        if not done:
            blocks.append(Paragraph(text=text("No edits were measured; `reinvert editability RUN` does it.")))
            continue
        figures = _figures(domain, done[0].measured, drawn)
        for name in done[0].measured["directions"]:
            # The pictures fill pages, so between the two tables neither leaves one half empty.
            blocks += [change_table(domain, name, of), *figures[f"edits-{domain}-{name}"]]
            blocks += interval_tables(domain, name, of)
        blocks += [quality_table(domain, of), *mixing_tables(domain, of)]
        blocks += [Pair(left=left, right=right, share=0.46) for left, right in zip(
            figures[f"mixing-{domain}"], figures[f"interpolation-{domain}"], strict=True)]  # fmt: skip
    return Section(identifier="editability", title="Editability", blocks=blocks)


def _figures(domain: str, sample: Mapping[str, Any], drawn: Collection[str]) -> dict[str, list[Figure]]:
    ends = f"γ = {gamma_words(sample['gammas'][0])}, 0, {gamma_words(sample['gammas'][-1])}"
    words = {
        f"edits-{domain}-{name}": (f"**{name}** on {domain}: the input and its edits at {ends}, image by image",
                                   f"Grid: edits along {name} of images of {domain}, one method per row")
        for name in sample["directions"]
    } | {
        f"mixing-{domain}": (f"Style mixing on **{domain}**: reconstructions of A and B and, between them, the content "
                             "of one with the looks of the other",
                             f"Grid: style mixing of a pair of {domain}, one method per row"),
        f"interpolation-{domain}": (f"Interpolation from A to B on **{domain}** by codes and, where a method has more "
                                    "than codes, by codes and the rest",
                                    f"Grid: between two images of {domain}, one method per row"),
    }  # fmt: skip
    made: dict[str, list[Figure]] = {}
    for stem, (caption, alternative) in words.items():
        found = sorted(name for name in drawn if name.rpartition("-")[0] == stem)
        parts = [f", part {number} of {len(found)}" if len(found) > 1 else "" for number in range(1, len(found) + 1)]
        made[stem] = [Figure(identifier=name, caption=text(f"{caption}{part}."), alternative=alternative)
                      for name, part in zip(found, parts, strict=True)]  # fmt: skip
    return made


def distrust(found: Sequence[Directions], runs: Sequence[Edits]) -> list[Text]:
    """What limits the numbers on editing."""
    lines = []
    for one in found:
        wrong = [name for name, entry in one.entries.items() if not entry["holds"]]
        if wrong:
            lines.append(text(f"Directions of {one.domain} that do not do what they are called: {', '.join(wrong)} "
                              f"([[directions-{one.domain}]])."))  # fmt: skip
    for domain in dict.fromkeys(run.domain for run in runs if not run.reason):
        of = [run for run in runs if run.domain == domain and not run.reason]
        few = [run for run in of if run.n < _full(of)]
        if few:
            counts = " to ".join(str(n) for n in sorted({min(run.n for run in few), max(run.n for run in few)}))
            methods = "1 searching method was" if len(few) == 1 else f"{len(few)} searching methods were"
            lines.append(text(f"Edits on {domain}: {methods} measured on {counts} images, the others on {_full(of)} "
                              f"([[edited-{domain}]])."))  # fmt: skip
    return lines
