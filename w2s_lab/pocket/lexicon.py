"""The vocabulary of the pocket world: things, their aspects, and opinion words with a Zipf tail.

Word lists are ordered by frequency rank. A word of rank r (counting from 0) is drawn with probability
proportional to 1 / (r + ZIPF_OFFSET), so the first words occur all the time and the last ones almost never.
A small or briefly pre-trained model does not learn the last ones, and its errors on them look random.
"""

from itertools import accumulate
from random import Random

ZIPF_OFFSET = 2
RARE_RANK = 50  # words of this rank and beyond carry the tag `rare-word`

# kind of thing -> aspects; no aspect belongs to two kinds, so an aspect always tells the topic
ASPECTS: dict[str, tuple[str, ...]] = {
    "film": ("plot", "acting", "dialogue", "soundtrack", "ending", "lighting"),
    "book": ("prose", "narrator", "story", "translation", "cover", "pacing"),
    "restaurant": ("food", "service", "menu", "wine", "decor", "dessert"),
    "hotel": ("room", "breakfast", "lobby", "pool", "bed", "view"),
    "phone": ("screen", "battery", "camera", "speaker", "keyboard", "charger"),
    "game": ("combat", "artwork", "map", "tutorial", "puzzle", "multiplayer"),
    "concert": ("singer", "venue", "encore", "drummer", "setlist", "crowd"),
    "museum": ("exhibition", "guide", "collection", "building", "garden", "audio tour"),
}

POSITIVE: tuple[str, ...] = tuple(
    """
    good great excellent wonderful nice lovely amazing superb fantastic brilliant perfect beautiful delightful
    impressive pleasant charming splendid terrific outstanding remarkable enjoyable marvelous fine magnificent
    exceptional fabulous stunning satisfying refreshing elegant memorable gorgeous admirable inspired clever polished
    graceful rewarding stellar awesome engaging captivating inviting thrilling exquisite dazzling glorious likeable
    lively magical masterly touching uplifting praiseworthy sublime spectacular sparkling skilful sensational refined
    radiant pristine phenomenal noble neat mesmerizing luminous lavish joyful inventive ingenious incredible
    imaginative immaculate ideal heavenly harmonious handsome gratifying flawless faultless fascinating exemplary
    enchanting divine distinguished compelling commendable comforting classy cheerful artful appealing adorable
    accomplished absorbing vivid vibrant unforgettable tasteful sweet stylish striking sterling soothing seamless
    riveting resplendent rousing robust profound precious peerless opulent nifty matchless laudable inimitable idyllic
    gripping gleaming formidable exhilarating estimable entrancing enthralling endearing effortless eloquent dreamy
    dependable deft dashing crisp creditable consummate bewitching beguiling astounding astonishing alluring agreeable
    winsome virtuosic transcendent jolly suave stately zestful superlative sumptuous scintillating ravishing
    """.split()
)

NEGATIVE: tuple[str, ...] = tuple(
    """
    bad terrible awful poor boring dull horrible disappointing weak ugly dreadful mediocre annoying lousy unpleasant
    tedious clumsy bland cheap messy shoddy sloppy tiresome dismal pathetic forgettable flawed lame horrid stale dreary
    grim atrocious abysmal appalling unbearable irritating frustrating ridiculous lazy lifeless hollow shallow tacky
    crude sour silly pointless useless worthless inferior unreliable ghastly hideous disgraceful disastrous deplorable
    miserable wretched woeful laughable lamentable feeble flimsy awkward confusing chaotic inept amateurish careless
    insipid inane incoherent uninspired unoriginal unimaginative unremarkable unsatisfying unappealing unattractive
    unconvincing unfinished unpolished uneven unwelcome unbalanced underwhelming tasteless tiring trite trivial turgid
    vapid vile vacuous vexing wearisome wooden substandard stilted sterile stodgy stifling squalid soulless sluggish
    sickly shabby rotten repulsive repellent regrettable rancid pitiful pedestrian paltry overpriced outdated obnoxious
    odious nasty nauseating murky muddled monotonous mindless meagre mangled lumbering loathsome lacklustre joyless
    jarring irksome inadequate insufferable hopeless harsh grating graceless gloomy garish frightful foul filthy dowdy
    dodgy dire dingy detestable derivative decrepit cumbersome contrived cluttered charmless botched bleak banal
    """.split()
)

WORDS: dict[str, tuple[str, ...]] = {"positive": POSITIVE, "negative": NEGATIVE}
RANK: dict[str, int] = {word: rank for words in WORDS.values() for rank, word in enumerate(words)}
_CUMULATIVE = {
    polarity: list(accumulate(1 / (rank + ZIPF_OFFSET) for rank in range(len(words))))
    for polarity, words in WORDS.items()
}


def draw_word(rng: Random, polarity: str) -> str:
    """Draw one opinion word of this polarity, by Zipf's law."""
    return rng.choices(WORDS[polarity], cum_weights=_CUMULATIVE[polarity])[0]


def is_rare(word: str) -> bool:
    """Whether an opinion word belongs to the tail of its list."""
    return RANK[word] >= RARE_RANK


def with_article(word: str) -> str:
    """`word` after "a" or "an", which depends on its first letter."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
