"""What was done and why: one JSON object and one self-contained HTML page."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
import torch

from refrestore.media.files import write_file
from refrestore.media.patch import VISIBLE
from refrestore.plain_text import json_text, plain_if_text
from refrestore.render.finishing import WHOLE
from refrestore.render.guarding import GuardSample
from refrestore.render.people import People
from refrestore.render.person_words import UNSEEN, sentences
from refrestore.render.plan import TrackPlan
from refrestore.render.segment_result import Account
from refrestore.restore.guard import Choice
from refrestore.types import ImageArray

PICTURE_SIZE = 256
"""Side of a face in the page, pixels."""

REFERENCE_SIZE = 112

PICTURES_PER_IDENTITY = 6
REFERENCES_SHOWN = 8

JPEG_QUALITY = 88


@dataclass(frozen=True)
class SegmentRecord:
    """What one segment adds to the report; kept beside its packets so that a resume loses nothing.

    Parameters
    ----------
    frames
        Written.
    restored
        Faces restored per identity, so that it can be seen (`patch.VISIBLE`).
    unreferenced
        Those of them that no close-up helped: cleaned, not given the person's own detail.
    unseen
        Faces per identity that were changed by less than can be seen.
    change
        Per identity, by how many grey levels its restored faces changed, summed up: those that
        close-ups helped, and the others.
    left
        Per identity, faces that the guard left as they were, by its reason.
    invented
        Per identity, faces restored that show what a second stage drew: those that close-ups
        helped, and the others.
    lowered
        Per identity, faces restored whose shut lids were drawn, as no close-up shows them.
    used
        Per identity, how often each row of its bank was used.
    samples
        The guard's, as plain values.
    pictures
        Per track: frame index, share of the crop that the picture fills, and a before/after pair as
        base64 JPEG.
    """

    frames: int
    restored: dict[int, int] = field(default_factory=dict)
    used: dict[int, dict[int, int]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[int, dict[str, Any]] = field(default_factory=dict)
    unreferenced: dict[int, int] = field(default_factory=dict)
    unseen: dict[int, int] = field(default_factory=dict)
    change: dict[int, list[float]] = field(default_factory=dict)
    left: dict[int, dict[str, int]] = field(default_factory=dict)
    invented: dict[int, list[int]] = field(default_factory=dict)
    lowered: dict[int, int] = field(default_factory=dict)

    @property
    def faces(self) -> int:
        """Faces restored."""
        return sum(self.restored.values())

    @property
    def faces_without_references(self) -> int:
        """Faces that no close-up helped."""
        return sum(self.unreferenced.values())

    @classmethod
    def of(cls, frames: int, account: Account, samples: Sequence[GuardSample]) -> SegmentRecord:
        """Return the record of a painted segment."""
        restored, unreferenced = Counter[int](), Counter[int]()
        unseen, lowered = Counter[int](), Counter[int]()
        change: dict[int, list[float]] = {}
        invented: dict[int, list[int]] = {}
        changed = account.changed
        levels = torch.stack([one.change for one in changed]).tolist() if changed else []
        for face, level in zip(changed, levels, strict=True):
            if level < VISIBLE:
                unseen[face.identity] += 1
                continue
            restored[face.identity] += 1
            unreferenced[face.identity] += not face.referenced
            lowered[face.identity] += face.lowered
            change.setdefault(face.identity, [0.0, 0.0])[not face.referenced] += level
            if face.invented > 0:
                invented.setdefault(face.identity, [0, 0])[not face.referenced] += 1
        return cls(
            frames=frames,
            restored=dict(restored),
            unreferenced=dict(+unreferenced),
            unseen=dict(unseen),
            change={who: [round(level, 2) for level in sums] for who, sums in change.items()},
            left={identity: dict(reasons) for identity, reasons in account.left.items()},
            invented=invented,
            lowered=dict(+lowered),
            used={identity: dict(rows) for identity, rows in account.used.items()},
            samples=[_plain(sample) for sample in samples],
            pictures={
                track: {
                    "frame": shown.frame,
                    "inside": round(shown.inside, 3),
                    "change": round(float(shown.change), 2),
                    "before": _jpeg(shown.before.cpu().numpy(), PICTURE_SIZE),
                    "after": _jpeg(shown.after.cpu().numpy(), PICTURE_SIZE),
                }
                for track, shown in account.pictures.items()
            },
        )

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_file(path, json.dumps(asdict(self)).encode(), make_folders=False)

    @classmethod
    def read(cls, path: Path) -> SegmentRecord:
        """Read what `write` wrote.

        Raises
        ------
        OSError, ValueError
            It is missing or damaged.
        """
        stored = json.loads(path.read_text())

        def numbered(mapping: Mapping[str, Any]) -> dict[int, Any]:
            return {int(key): value for key, value in mapping.items()}

        try:
            return cls(
                frames=stored["frames"],
                restored=numbered(stored["restored"]),
                used={key: numbered(rows) for key, rows in numbered(stored["used"]).items()},
                samples=stored["samples"],
                pictures=numbered(stored["pictures"]),
                # Of an older release: none.
                **{
                    key: numbered(stored.get(key, {}))
                    for key in ("unreferenced", "unseen", "change", "left", "invented", "lowered")
                },
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} holds no record") from error


def _plain(sample: GuardSample) -> dict[str, Any]:
    word = sample.judgement
    return {
        "frame": sample.frame,
        "track": sample.track,
        "identity": sample.identity,
        "choice": word.choice.value,
        "reason": word.reason.value,
        "belief": sample.belief.value,
        "invented": round(sample.invented, 2),
        "input": _rounded(word.input_similarity),
        "unreferenced": _rounded(word.unreferenced_similarity),
        "restored": _rounded(word.restored_similarity),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _jpeg(image: ImageArray, size: int) -> str:
    filter_ = cv2.INTER_AREA if image.shape[0] >= size else cv2.INTER_CUBIC
    small = cv2.resize(image, (size, size), interpolation=filter_)
    _, coded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return base64.b64encode(np.asarray(coded).tobytes()).decode()


def summarise(
    who: People,
    plans: Sequence[TrackPlan],
    records: Sequence[SegmentRecord],
    seconds: Callable[[int], float],
    wanted: Mapping[int, str] | None = None,
) -> list[dict[str, Any]]:
    """Return the report's part on people, one plain object an identity, by screen time.

    Parameters
    ----------
    plans
        Of the frames that were rendered.
    seconds
        From the film's first frame to a frame of an index.
    wanted
        By identity id, which photos would help those who lack close-ups.
    """
    samples = [sample for record in records for sample in record.samples]
    pictures = {
        (number, track): picture
        for number, record in enumerate(records)
        for track, picture in record.pictures.items()
    }
    people = []
    for identity in sorted(who.identities, key=lambda one: -one.seconds):
        own = [plan for plan in plans if plan.identity == identity.id]
        tracks = {plan.track for plan in own}
        seen = [sample for sample in samples if sample["identity"] == identity.id]
        used: Counter[int] = Counter()
        for record in records:
            used.update(record.used.get(identity.id, {}))
        bank = who.references.get(identity.id, ())
        shown = [picture for (_, track), picture in sorted(pictures.items()) if track in tracks]
        restored = sum(record.restored.get(identity.id, 0) for record in records)
        plain = sum(record.unreferenced.get(identity.id, 0) for record in records)
        people.append(
            {
                "id": identity.id,
                "name": identity.name,
                "state": identity.state,
                "strength": identity.strength,
                "profile": identity.profile,
                "refused": who.refused.get(identity.id),
                "provisional": identity.provisional,
                "matched": _match(who, identity.id),
                "seconds": round(identity.seconds, 3),
                "faces": identity.faces,
                "restored_faces": restored,
                "unreferenced_faces": plain,
                "invented_faces": _invented(identity.id, records),
                "lowered_faces": sum(record.lowered.get(identity.id, 0) for record in records),
                "change": _change(identity.id, records),
                "likeness": _likeness(seen),
                "left_alone_faces": dict(_left(identity.id, own, records).most_common()),
                "wanted": (wanted or {}).get(identity.id) if restored == plain else None,
                "references": [
                    {"source": bank[row].source, "used": count}
                    for row, count in used.most_common()
                    if row < len(bank)
                ],
                "similarity": {
                    key: _mean([sample[key] for sample in seen])
                    for key in ("input", "unreferenced", "restored")
                },
                "decisions": dict(Counter(sample["choice"] for sample in seen)),
                "reasons": dict(Counter(sample["reason"] for sample in seen)),
                "beliefs": dict(Counter(sample["belief"] for sample in seen)),
                "left_alone": [
                    {
                        "track": plan.track,
                        "start": round(seconds(int(plan.faces.frame[0])), 3),
                        "frames": len(plan.faces),
                        "reason": plan.reason,
                    }
                    for plan in own
                    if plan.reason and len(plan.faces)
                ],
                "pictures": _spread(shown, seconds),
                "thumbnails": [
                    _jpeg(bank[row].image, REFERENCE_SIZE)
                    for row, _ in used.most_common(REFERENCES_SHOWN)
                    if row < len(bank)
                ],
            }
        )
    return people


def _invented(identity: int, records: Sequence[SegmentRecord]) -> dict[str, int]:
    """Return how many of somebody's faces show what a second stage drew."""
    sums = np.sum([one.invented.get(identity, [0, 0]) for one in records] or [[0, 0]], axis=0)
    return {"referenced": int(sums[0]), "unreferenced": int(sums[1])}


def _change(identity: int, records: Sequence[SegmentRecord]) -> dict[str, float | None]:
    """Return the mean change of somebody's restored faces, with close-ups and without."""
    # A render that an older release began has records that do not say.
    known = [record for record in records if identity in record.change]
    sums = np.sum([record.change[identity] for record in known], axis=0) if known else np.zeros(2)
    plain = sum(record.unreferenced.get(identity, 0) for record in known)
    counts = (sum(record.restored[identity] for record in known) - plain, plain)
    return {
        key: round(float(total) / count, 2) if count else None
        for key, total, count in zip(("referenced", "unreferenced"), sums, counts, strict=True)
    }


def _likeness(samples: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Return how like their close-ups the faces were that were restored from them, and became."""
    restored = [one for one in samples if one["choice"] == Choice.RESTORED.value]
    before, after = (_mean([one[key] for one in restored]) for key in ("input", "restored"))
    return None if before is None or after is None else {"before": before, "after": after}


def _left(
    identity: int, plans: Sequence[TrackPlan], records: Sequence[SegmentRecord]
) -> Counter[str]:
    """Return why how many of somebody's faces were left alone."""
    left = Counter[str](why for plan in plans for why in plan.reasons if why is not None)
    for record in records:
        left.update(record.left.get(identity, {}))
        if unseen := record.unseen.get(identity, 0):
            left[UNSEEN] += unseen
    return left


def _match(who: People, identity: int) -> dict[str, Any] | None:
    found = who.matched.get(identity)
    if found is None:
        return None
    return {
        "profile": found.profile,
        "similarity": round(found.similarity, 4),
        "needed": round(found.needed, 4),
        "strangers": None
        if found.strangers is None
        else {"similarity": round(found.strangers.similarity, 4), "met": found.strangers.met},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None


def _spread(
    pictures: Sequence[Mapping[str, Any]], seconds: Callable[[int], float]
) -> list[dict[str, Any]]:
    """Return at most `PICTURES_PER_IDENTITY`, evenly over the film, with their times.

    Faces that hang over the picture's edge, whose crops are mirrored there, are shown of people
    only who have no other; those whose change cannot be seen are not.
    """
    pictures = [one for one in pictures if one.get("change", VISIBLE) >= VISIBLE]
    # A render that an older release began has pictures that do not say.
    pictures = [one for one in pictures if one.get("inside", 1.0) >= WHOLE] or pictures
    count = min(PICTURES_PER_IDENTITY, len(pictures))
    places = sorted({int(place) for place in np.linspace(0, len(pictures) - 1, count)})
    return [
        {**pictures[place], "time": round(seconds(pictures[place]["frame"]), 3)} for place in places
    ]


def write_report(report: Mapping[str, Any], json_path: Path, html_path: Path) -> None:
    """Write the JSON (without pictures) and the page (with them)."""
    people = [
        {key: value for key, value in person.items() if key not in ("pictures", "thumbnails")}
        for person in report["identities"]
    ]
    shown = {**report, "identities": people}
    write_file(json_path, (json_text(shown) + "\n").encode())
    template = resources.files("refrestore.render").joinpath("report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=plain_if_text
    )
    environment.filters["clock"] = _clock
    environment.filters["sentences"] = sentences
    page = environment.from_string(template).render(report=report)
    write_file(html_path, page.encode())


def _clock(seconds: float) -> str:
    """Return 0:00:00.0 of seconds."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"
