"""The bookmark of a stream: what is done, and which windows are still open.

```json
{"open": [{"since": 1700000000, "until": 1700086400, "after": "cus_1"}],
 "begun": 1763600000, "since": 1763600000, "version": 1763600000000}
```

`open` lists the segments that a back-fill has not read yet; it is absent when all are.
`begun` is when the back-fill began. Everything that changed before `since` is read.
`version` is there while a full load is on its way.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

import msgspec

from tap_stripe.windows import Segment  # noqa: TC001 msgspec reads the type of `open`

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Json: t.TypeAlias = "dict[str, t.Any]"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a stream is.

    Args:
        open: What a back-fill has still to read; None if none is on its way.
        begun: Second at which the back-fill began.
        since: Second before which everything is read.
        version: Of the full load that is on its way.
    """

    open: tuple[Segment, ...] | None = None
    begun: int | None = None
    since: int | None = None
    version: int | None = None

    @classmethod
    def read(cls, state: Mapping[str, t.Any]) -> Bookmark:
        """Read a bookmark; what is no bookmark of ours is none."""
        try:
            return msgspec.convert(state, cls)
        except msgspec.ValidationError:
            return cls()

    def to_json(self) -> Json:
        """Return what goes to STATE."""
        found: Json = {
            name: getattr(self, name)
            for name in ("begun", "since", "version")
            if getattr(self, name) is not None
        }
        if self.open is not None:
            found["open"] = [_segment(segment) for segment in self.open]
        return found


def _segment(segment: Segment) -> Json:
    kept = asdict(segment)
    del kept["pace"]
    return {name: value for name, value in kept.items() if value not in {None, ""}}
