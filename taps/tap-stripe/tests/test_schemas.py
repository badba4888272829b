"""The schemas in this package are those of Stripe's own SDK, release by release."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


@pytest.fixture(scope="module")
def derive():
    """Import what reads the sources, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("derive", SCRIPTS / "derive.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_schemas_are_those_of_the_releases():
    """Made again from the releases, each file is what it is."""
    command = [sys.executable, SCRIPTS / "generate_schemas.py", "--check"]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)

    assert checked.stdout + checked.stderr == ""
    assert checked.returncode == 0


SOURCE = """
class Thing:
    OBJECT_NAME: ClassVar[Literal["a.thing"]] = "a.thing"
    class Part(StripeObject):
        created: int
    amount: int
    canceled_at: Optional[int]
    created: int
    deleted: Optional[Literal[True]]
    from_: str
    owner: Optional[ExpandableField["Owner"]]
    parts: Optional[List[Part]]
    part: Optional[Part]
    price: Optional[Decimal]
    ratio: float
    status: Union[Literal["on", "off"], str]
    tags: List[str]
    lines: ListObject["Line"]
    _inner: int
"""


def test_kinds_follow_from_annotations(derive, tmp_path):
    """Moments by name and type, expandable fields by their id, the rest as JSON."""
    (tmp_path / "_thing.py").write_text(SOURCE)
    assert derive.objects(tmp_path) == {
        "a.thing": {
            "amount": "integer",
            "canceled_at": "moment",
            "created": "moment",
            "from": "text",
            "owner": "text",
            "parts": "list",
            "part": "object",
            "price": "text",
            "ratio": "number",
            "status": "text",
            "tags": "texts",
            "lines": "object",
        }
    }


NESTED = """
class Thing:
    OBJECT_NAME: ClassVar[Literal["thing"]] = "thing"
    class Part(StripeObject):
        class Deep(StripeObject):
            ends_at: Optional[int]
            from_: Optional[ExpandableField["Owner"]]
        deep: Optional[Deep]
        deeps: List[Deep]
        words: Optional[List[str]]
        either: Union[int, str]
    part: Optional[Part]
    parts: Optional[List[Part]]
    owner: Optional["Owner"]
    lines: ListObject["Line"]
    metadata: Dict[str, str]
    plain: str
"""


def test_shapes_are_those_of_the_classes_inside(derive, tmp_path):
    """To any depth; other objects, lists of them and free maps have none."""
    (tmp_path / "_thing.py").write_text(NESTED)
    deep = {"ends_at": "integer", "from": "text"}
    part = {"deep": deep, "deeps": [deep], "words": "texts", "either": "json"}
    assert derive.shapes(tmp_path) == {"thing": {"part": part, "parts": [part]}}
