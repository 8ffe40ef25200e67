"""
Draws the pictures of the page on versions: ``python docs/pictures/versions.py`` writes them.

A picture is a description in Python; the same description gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final, Literal

import attrs

FOLDER: Final = Path(__file__).resolve().parents[1] / "explanation"

Kind = Literal["served", "other", "code"]
Line = Literal["valid", "missing", "follows"]

_WIDTH: Final = 170
_HEIGHT: Final = 52
_SPREAD: Final = 14

# fill and border of each kind of box
_BOXES: Final = {
    "served": ("#dbeafe", "#1d4ed8"),
    "other": ("#f3f4f6", "#9ca3af"),
    "code": ("#fef3c7", "#b45309"),
}
# colour and dashes of each kind of line
_LINES: Final = {
    "valid": ("#15803d", ""),
    "missing": ("#b91c1c", ' stroke-dasharray="7 5"'),
    "follows": ("#475569", ""),
}
_FONT: Final = "font-family=\"'DejaVu Sans', Verdana, sans-serif\""


@attrs.frozen
class Box:
    """
    A box with one or two lines of text.

    Attributes:
        x: its left side.
        y: its upper side.
        title: the first line.
        note: the second line.
        kind: its colours.
    """

    x: int
    y: int
    title: str
    note: str = ""
    kind: Kind = "other"


@attrs.frozen
class Arrow:
    """
    A line from the right side of a box to the left side of another.

    Attributes:
        start: the box where it begins.
        end: the box where it ends.
        kind: its colour.
        label: the text on it.
    """

    start: Box
    end: Box
    kind: Line = "valid"
    label: str = ""


@attrs.frozen
class Text:
    """
    A line of text.

    Attributes:
        x: where it begins.
        y: its base line.
        text: the words.
        bold: whether it is a heading.
        colour: the colour of the words.
    """

    x: int
    y: int
    text: str
    bold: bool = False
    colour: str = "#1f2937"


@attrs.frozen(kw_only=True)
class Picture:
    """
    A picture.

    Attributes:
        name: the name of its file, without the suffix.
        title: what a screen reader says.
        width: in pixels.
        height: in pixels.
        boxes: the boxes.
        arrows: the lines between them.
        texts: the words beside them.
    """

    name: str
    title: str
    width: int
    height: int
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    texts: Sequence[Text]


def drawn(picture: Picture) -> str:
    """
    Return *picture* as the text of an SVG file.
    """
    return "\n".join([*_parts(picture), "</svg>", ""])


def _parts(picture: Picture) -> Iterator[str]:
    width, height = picture.width, picture.height
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" {_FONT} font-size="13">'
    )
    yield f"<title>{escape(picture.title)}</title>"
    # a card of its own, so that the words are dark on light beside any page
    yield (
        f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="10" '
        'fill="#ffffff" stroke="#cbd5e1"/>'
    )
    yield "<defs>"
    for kind, (colour, _) in _LINES.items():
        yield (
            f'<marker id="{picture.name}-{kind}" viewBox="0 0 10 10" refX="9" refY="5" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0 L10 5 L0 10 z" fill="{colour}"/></marker>'
        )
    yield "</defs>"
    for arrow in picture.arrows:
        yield from _arrow(picture, arrow)
    for box in picture.boxes:
        yield from _box(box)
    for text in picture.texts:
        weight = ' font-weight="bold"' if text.bold else ""
        words = escape(text.text)
        yield f'<text x="{text.x}" y="{text.y}"{weight} fill="{text.colour}">{words}</text>'


def _arrow(picture: Picture, arrow: Arrow) -> Iterator[str]:
    colour, dashes = _LINES[arrow.kind]
    x1, y1 = arrow.start.x + _WIDTH, arrow.start.y + _HEIGHT // 2
    # arrows from above end higher than arrows from below
    slope = (arrow.start.y - arrow.end.y) // 4
    x2, y2 = arrow.end.x, arrow.end.y + _HEIGHT // 2 + max(-_SPREAD, min(_SPREAD, slope))
    yield (
        f'<line x1="{x1}" y1="{y1}" x2="{x2 - 2}" y2="{y2}" stroke="{colour}" '
        f'stroke-width="2"{dashes} marker-end="url(#{picture.name}-{arrow.kind})"/>'
    )
    if arrow.label:
        middle, base = (x1 + x2) // 2, (y1 + y2) // 2 - 8
        yield (
            f'<text x="{middle}" y="{base}" text-anchor="middle" font-size="12" '
            f'stroke="#ffffff" stroke-width="4" paint-order="stroke" fill="{colour}">'
            f"{escape(arrow.label)}</text>"
        )


def _box(box: Box) -> Iterator[str]:
    fill, border = _BOXES[box.kind]
    yield (
        f'<rect x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{fill}" stroke="{border}" stroke-width="1.5"/>'
    )
    middle = box.x + _WIDTH // 2
    yield (
        f'<text x="{middle}" y="{box.y + (22 if box.note else 31)}" text-anchor="middle" '
        f'font-weight="bold" fill="#111827">{escape(box.title)}</text>'
    )
    if box.note:
        yield (
            f'<text x="{middle}" y="{box.y + 40}" text-anchor="middle" font-size="12" '
            f'fill="#374151">{escape(box.note)}</text>'
        )


def links() -> Picture:
    """
    Return the picture of a pipeline whose first op was retrained alone.
    """
    pca = [
        Box(30, 80, "irispca 1", "trained on Monday", "served"),
        Box(30, 190, "irispca 2", "trained on Tuesday"),
    ]
    classifier = [
        Box(305, 80, "irisclassifier 1", "trained on Monday", "served"),
        Box(305, 190, "irisclassifier 2", "trained on Wednesday"),
    ]
    names = Box(580, 135, "names", "no state, only code", "code")
    return Picture(
        name="versions-links",
        title=(
            "Versions of three ops. irispca 1 is linked to irisclassifier 1, irispca 2 to "
            "irisclassifier 2; irispca 2 is not linked to irisclassifier 1. The op names is "
            "linked to both versions of irisclassifier."
        ),
        width=780,
        height=300,
        boxes=[*pca, *classifier, names],
        arrows=[
            Arrow(pca[0], classifier[0], label="one run"),
            Arrow(pca[1], classifier[1], label="one run"),
            Arrow(pca[1], classifier[0], "missing", "no link"),
            Arrow(classifier[0], names),
            Arrow(classifier[1], names),
        ],
        texts=[
            Text(30, 36, "pipeline predict: irispca → irisclassifier → names", bold=True),
            Text(30, 58, "blue: served since Monday", colour=_BOXES["served"][1]),
            Text(30, 276, "green: validated link", colour=_LINES["valid"][0]),
            Text(
                215,
                276,
                "red: not validated, so never served together",
                colour=_LINES["missing"][0],
            ),
        ],
    )


def rolling() -> Picture:
    """
    Return the picture of two releases that serve one pipeline.
    """
    old = [Box(30, 80 + 66 * row, f"web process {row + 1}", "release 1", "code") for row in (0, 1)]
    new = [Box(30, 80 + 66 * row, f"web process {row + 1}", "release 2", "code") for row in (2, 3)]
    sets = [
        Box(400, 80, "generation 6", "models of release 1", "other"),
        Box(400, 146, "generation 7", "models of release 1", "served"),
        Box(400, 245, "generation 8", "models of release 2", "served"),
    ]
    return Picture(
        name="versions-rolling",
        title=(
            "Four web processes and three active sets. The processes of release 1 follow "
            "generation 7, those of release 2 follow generation 8."
        ),
        width=780,
        height=360,
        boxes=[*old, *new, *sets],
        arrows=[
            *(Arrow(process, sets[1], "follows") for process in old),
            *(Arrow(process, sets[2], "follows") for process in new),
        ],
        texts=[
            Text(30, 36, "each process follows the newest set that its code can serve", bold=True),
            Text(30, 62, "processes"),
            Text(400, 62, "active sets of the pipeline"),
            Text(590, 110, "not followed"),
            Text(590, 176, "release 1 is behind"),
            Text(590, 275, "the newest set"),
        ],
    )


def pictures() -> Iterable[Picture]:
    """
    Return all pictures of the page.
    """
    return links(), rolling()


def main() -> None:
    """
    Write the pictures beside the page that shows them.
    """
    for picture in pictures():
        (FOLDER / f"{picture.name}.svg").write_text(drawn(picture), encoding="utf-8")


if __name__ == "__main__":
    main()
