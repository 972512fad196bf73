"""The helpdesk: refund tickets, decided by a written policy that exists in two versions.

The first rule that applies decides:

1. *danger*: somebody was hurt, or there was smoke or fire -> escalate
2. *defect*: the thing does not work, bought within a year -> approve
3. *defect-expired*: the thing does not work, bought longer ago -> deny
4. *hygiene*: a worn hygiene article that works -> deny, whenever it was bought
5. *window*: bought within the return window -> approve
6. *member*: too late, but the customer is a member -> escalate
7. *late*: too late -> deny

The versions differ in one rule, the return window: one month in v1, two weeks in v2.
"""

from dataclasses import dataclass
from random import Random

GENERAL_PRODUCTS: tuple[str, ...] = tuple(
    """
    lamp kettle jacket chair radio toaster printer backpack clock blender bicycle monitor heater carpet tent ladder
    mirror drill guitar suitcase umbrella scanner router stool easel anvil trowel tripod lantern globe hammock sundial
    """.split()
)
HYGIENE_PRODUCTS: tuple[str, ...] = tuple(
    """
    toothbrush razor towel swimsuit pillow earplug hairbrush comb sock lipstick sponge bathrobe snorkel mouthguard
    loofah tweezer epilator insole pacifier bedsheet
    """.split()
)
DANGER = ("It gave me an electric shock.", "Smoke came out of it.", "It caught fire.", "It cut my hand.")
DEFECT = (
    "It does not work.",
    "It broke at once.",
    "It cracked on the first day.",
    "It stopped working.",
    "It arrived in pieces.",
)
WORKS = (
    "It works, but I do not like it.",
    "It is the wrong size.",
    "I changed my mind.",
    "I got two of them.",
    "The color does not suit me.",
)
# age of the purchase -> how customers say it
BOUGHT: dict[str, tuple[str, ...]] = {
    "two weeks": ("yesterday", "last week", "five days ago", "ten days ago"),
    "one month": ("three weeks ago", "almost a month ago", "twenty days ago"),
    "one year": ("two months ago", "half a year ago", "ten months ago"),
    "older": ("two years ago", "three years ago", "many years ago"),
}
WINDOW = {"v1": ("two weeks", "one month"), "v2": ("two weeks",)}

CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "approve": (
        "We approve the request.",
        "The money is on its way to you.",
        "You will be paid back in full.",
        "Please send it back to us for a refund.",
    ),
    "deny": (
        "We deny the request.",
        "We cannot pay you back.",
        "There is no refund in this case.",
        "Please keep it, the case is closed.",
    ),
    "escalate": (
        "We escalate the request.",
        "A specialist will call you.",
        "My manager will decide about it.",
        "The case goes to the next level.",
    ),
}


@dataclass(frozen=True)
class Ticket:
    """A customer's message and the facts on which the policy decides.

    Attributes:
        text: the message.
        danger, defect, hygiene: whether somebody was hurt (or there was smoke or fire), whether the thing does not
            work, whether it is a worn hygiene article.
        age: age of the purchase, a key of BOUGHT.
        member: whether the customer is a member.
    """

    text: str
    danger: bool
    defect: bool
    hygiene: bool
    age: str
    member: bool

    def rule(self, policy: str = "v1") -> str:
        """The first rule of the policy that applies."""
        if self.danger:
            return "danger"
        if self.defect:
            return "defect-expired" if self.age == "older" else "defect"
        if self.hygiene:
            return "hygiene"
        if self.age in WINDOW[policy]:
            return "window"
        return "member" if self.member else "late"

    def decision(self, policy: str = "v1") -> str:
        """The decision of the policy: approve, deny or escalate."""
        return {
            "danger": "escalate", "defect": "approve", "defect-expired": "deny", "hygiene": "deny",
            "window": "approve", "member": "escalate", "late": "deny",
        }[self.rule(policy)]  # fmt: skip


def draw_ticket(rng: Random) -> Ticket:
    """Draw one ticket; all randomness comes from `rng`."""
    danger = rng.random() < 0.12
    defect = not danger and rng.random() < 0.35
    hygiene = rng.random() < 0.35
    member = rng.random() < 0.4
    age = rng.choices(list(BOUGHT), weights=(0.3, 0.3, 0.25, 0.15))[0]
    products = HYGIENE_PRODUCTS if hygiene else GENERAL_PRODUCTS
    product = rng.choices(products, weights=[1 / (rank + 2) for rank in range(len(products))])[0]
    bought = rng.choice(
        (f"I bought this {product} {rng.choice(BOUGHT[age])}.", f"This {product} came {rng.choice(BOUGHT[age])}.")
    )
    state = rng.choice(DANGER if danger else DEFECT if defect else WORKS)
    parts = [bought, state]
    if rng.random() < 0.3:
        parts.reverse()
    if member:
        parts.insert(rng.randrange(3), rng.choice(("I am a member.", "I have been a member for years.")))
    return Ticket(" ".join(parts), danger, defect, hygiene, age, member)


def document(rng: Random, ticket: Ticket) -> str:
    """The ticket and the helpdesk's answer under policy v1, which was in force when the document was written."""
    answers = rng.sample(CONSEQUENCES[ticket.decision("v1")], rng.choice((1, 2, 2)))
    return " ".join((ticket.text, *answers))
