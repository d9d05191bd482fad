"""The tables of docs/protocols.md, written from the protocols themselves.

    python -m pipelines.document_protocols

rewrites them between the markers; the words around them are by hand. A test holds the two together.
"""

from __future__ import annotations

from pathlib import Path

from core.errors import ReinvertError
from core.files import atomic_write_text
from metrics import protocols
from metrics.measure import networks_of
from metrics.protocols import Protocol

DOCUMENT = Path("docs/protocols.md")
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def choices(protocol: Protocol) -> dict[str, str]:
    """Every choice in words, for a table's row or for `reinvert describe`."""
    size = f"{protocol.size} px" if protocol.size else "native"
    filters = [text for text in (protocol.reduction, protocol.resize) if text != "none"]
    failure = protocol.failure if protocol.worst is None else f"{protocol.failure}, {protocol.worst:g}"
    network = "–"
    if protocol.network is not None:
        network = protocol.network.name
        if protocol.face_thresholds is not None:
            network += " on faces found by mtcnn " + "/".join(f"{value:g}" for value in protocol.face_thresholds)
    sample = f"{protocol.sample_size:,}" if protocol.sample_size else "any, printed"
    if protocol.batch_dropping_remainder:
        sample += f", last batch of {protocol.batch_dropping_remainder} dropped if incomplete"
    extra = [f"{name} {value}" for name, value in protocol.settings.items()]
    notes = [part for part in (", ".join(extra), protocol.note) if part]
    if protocol.assumed:
        notes.append(f"assumed: {', '.join(protocol.assumed)}")
    return {
        "id": f"`{protocol.id}`",
        "computed by": f"`{protocol.function}`",
        "network": network,
        "size": ", ".join([size, *filters]),
        "range": protocol.value_range,
        "reconstruction": protocol.quantisation,
        "pairs": protocol.pairing,
        "a failure counts as": failure,
        "images": sample,
        "more": "; ".join(notes) or "–",
    }


def _table(rows: list[dict[str, str]]) -> list[str]:
    heads = list(rows[0])
    return [
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(row[head] for head in heads) + " |" for row in rows),
    ]


def tables() -> str:
    """Everything between the markers."""
    lines = []
    for name in protocols.suites():
        listed = protocols.suite(name)
        if name.endswith("-jpeg"):
            ids = ", ".join(f"`{protocol.id}`" for protocol in listed)
            plain = name.removesuffix("-jpeg")
            lines += [f"### {name}", "", f"As `{plain}`, with reconstructions as JPEG of quality 75: {ids}.", ""]
        else:
            lines += [f"### {name}", "", *_table([choices(protocol) for protocol in listed]), ""]
    lines += ["### Weights", "", "| network | file | SHA-256 begins with |", "|---|---|---|"]
    for network in networks_of(protocols.everything()).values():
        files = network.files or (("trained here; the record of a result holds its hash", None),)
        lines += [f"| {network.name} | {file} | {digest or '–'} |" for file, digest in files]
    return "\n".join(lines)


def documented(text: str) -> str:
    """The document with today's tables; ReinvertError where its markers are missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ReinvertError(f"{DOCUMENT} must hold '{BEGIN}' and '{END}' once each; put them back")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Rewrite the document."""
    atomic_write_text(DOCUMENT, documented(DOCUMENT.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
