"""Stripe's published example objects, turned into templates of a population.

A template is an object in which `«name»` stands for text and `"«name#»"` for a JSON
value. Its key `_legacy` holds the fields that only versions before 2025-03-31 have, and
`_without` names those of the example that it has not.
"""

from __future__ import annotations

from dativo_sandbox.stripe.examples import Template, example, link
from dativo_sandbox.stripe.looks import LOOKS
from dativo_sandbox.stripe.resources import by_type, nested


def template(type_: str) -> Template:
    """Return the template of an object type with a list of its own."""
    row = by_type()[type_]
    made = example(type_)
    made["id"] = "«id»"
    if row.created or "created" in made:
        made["created"] = "«created#»"
    if "livemode" in made:
        made["livemode"] = "«livemode#»"
    for field, target in row.links.items():
        made[field] = link(target)
    made |= LOOKS.get(type_, dict)()
    for child in (child for child in nested() if child.parent == type_):
        made.pop(child.field, None)
        if child.shown:
            made[child.field] = f"«nested_{child.field}#»"
    return made


def nested_template(type_: str, parent: str) -> Template:
    """Return the template of an object type below a parent."""
    row = next(r for r in nested() if (r.type, r.parent) == (type_, parent))
    made = example(type_)
    made["id"] = "«id»"
    if "created" in made:
        made["created"] = "«created#»"
    if "livemode" in made:
        made["livemode"] = "«livemode#»"
    if row.link:
        made[row.link] = "«parent»"
    return made | LOOKS.get(type_, dict)()
