"""Text to tokens: the prompt x of an example, an answer as it follows a prompt, and what is cut where both are long."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

from w2s_lab.models.chat import ChatFrame, chat_frame, warn_changed
from w2s_lab.records import Example

WORD = re.compile(r"\s*\S*")  # what is tried beyond the point where an over-long input is cut
LONGEST_WORD = 32  # characters of it, at most
CHARACTERS = 4  # of a token, about
KEPT = 4  # sets of examples whose tokens are kept, so that no set is tokenised twice


class Encoding:
    """What a `LanguageModel` knows of text: it has these methods."""

    name: str
    tokenizer: Any
    chat_template: bool
    _prompts: dict

    def _tokens(self, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        if not texts:
            return []
        # split_special_tokens: "<|endoftext|>" inside a user's text is read as ordinary characters
        return self.tokenizer(
            list(texts), add_special_tokens=special, split_special_tokens=True, truncation=False, verbose=False
        )["input_ids"]

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of each answer as it follows a prompt, the end-of-answer token included."""
        unique = list(dict.fromkeys(answers))
        bodies = self._tokens(unique, special=False) if self.chat_template else self._after_answer_colon(unique)
        table = {answer: [*body, self.tokenizer.eos_token_id] for answer, body in zip(unique, bodies, strict=True)}
        return [table[answer] for answer in answers]

    def _after_answer_colon(self, answers: list[str]) -> list[list[int]]:
        (stem,) = self._tokens(["Answer:"], special=False)
        texts = [f"Answer: {answer}" if answer else "Answer:" for answer in answers]  # an empty answer ends at once
        rows = self._tokens(texts, special=False)
        for row, answer in enumerate(answers):
            if rows[row][: len(stem)] == stem:
                rows[row] = rows[row][len(stem) :]
            else:  # the tokenizer merged characters across the colon: encode the answer alone
                (rows[row],) = self._tokens([f" {answer}"], special=False)
        return rows

    def encode_documents(self, examples: Sequence[Example], max_tokens: int) -> tuple[list[int], list[list[int]]]:
        """The start token, as a list of one id, and the token ids of each input (of the instruction, if it is empty).

        A text is cut so that it has at most `max_tokens` tokens, start token included. No end token is added.
        """
        rows = self._tokens([example.input or example.instruction for example in examples], special=False)
        start = self.tokenizer.bos_token_id
        start = self.tokenizer.eos_token_id if start is None else start
        return [start], [row[: max_tokens - 1] for row in rows]

    def encode_prompts(self, examples: Sequence[Example], max_tokens: int) -> tuple[list[list[int]], int]:
        """Token ids of each prompt, at most `max_tokens` of them, and the number of inputs that were cut at their end.

        Raises:
            ValueError: an instruction alone is too long.

        Warns:
            UserWarning: inputs were cut; or the chat template would change the text of some.
        """
        key = (self.tokenizer, max_tokens, self.template, tuple(example.id for example in examples))
        if key in self._prompts:
            return self._prompts[key]
        if self.chat_template:
            warn_changed(self.tokenizer, self.name, self._chat_frame[0], [user_text(example) for example in examples])
        prompts = self._prompt_tokens(examples)
        cut = 0
        for row, example in enumerate(examples):
            if len(prompts[row]) > max_tokens:
                prompts[row] = self._cut_input(example, max_tokens)
                cut += 1
        if cut:
            warnings.warn(
                f"{cut} of {len(prompts)} inputs are longer than {max_tokens} tokens with their instruction; "
                "they were cut at their end",
                stacklevel=2,
            )
        while len(self._prompts) >= KEPT:
            del self._prompts[next(iter(self._prompts))]
        self._prompts[key] = prompts, cut
        return prompts, cut

    def _prompt_tokens(self, examples: Sequence[Example]) -> list[list[int]]:
        """Token ids of whole prompts, without the end-of-text token that some tokenizers put after every text."""
        if self.chat_template:
            frame, before, after = self._chat_frame
            texts = [frame.stripped(user_text(example)) for example in examples]
            return [[*before, *row, *after] for row in self._tokens(texts, special=False)]
        rows = self._tokens([prompt(example) for example in examples])
        return [row[:-1] if row[-1] == self.tokenizer.eos_token_id else row for row in rows]

    @property
    def template(self) -> str | bool:
        """The chat template that prompts are put into; False: they are written without one. For keys of results."""
        return self.chat_template and self.tokenizer.get_chat_template()

    @property
    def _chat_frame(self) -> tuple[ChatFrame, list[int], list[int]]:
        """What the chat template writes around the user's text, and the tokens before and after the text."""
        frames = vars(self).setdefault("_frames", {})  # by template, since a user may set another one
        if self.template not in frames:
            frames[self.template] = self._try_template()
        return frames[self.template]

    def _try_template(self) -> tuple[ChatFrame, list[int], list[int]]:
        frame = chat_frame(self.tokenizer, self.name)
        # without the user's text: special tokens of the template count, those in the user's text must not
        before, after = self.tokenizer([frame.before, frame.after], add_special_tokens=False)["input_ids"]
        return frame, before, after

    def since(self, examples: Sequence[Example], prompts: Sequence[list[int]]) -> list[int]:
        """Where in each prompt the input begins: the number of its first token that the instruction does not decide."""
        bare = [Example(instruction, "") for instruction in dict.fromkeys(e.instruction for e in examples)]
        frames = dict(zip((e.instruction for e in bare), self._prompt_tokens(bare), strict=True))
        found = []
        for example, tokens in zip(examples, prompts, strict=True):
            pairs = zip(frames[example.instruction], tokens[:-1], strict=False)
            found.append(next((i for i, (a, b) in enumerate(pairs) if a != b), len(tokens) - 1))
        return found

    def _cut_input(self, example: Example, max_tokens: int) -> list[int]:
        """The longest prefix of the input, by characters, whose prompt has at most `max_tokens` tokens."""

        def tokens(*characters: int) -> list[list[int]]:
            return self._prompt_tokens([Example(example.instruction, example.input[:end]) for end in characters])

        low, high = 0, min(len(example.input), CHARACTERS * max_tokens)
        (shortest,) = tokens(low)
        if len(shortest) > max_tokens:
            raise ValueError(
                f"the instruction {example.instruction[:40]!r}... takes {len(shortest)} tokens; "
                f"expected at most {max_tokens}. Hint: raise the recipe's max_tokens, up to what the model can read"
            )
        while high < len(example.input) and len(tokens(high)[0]) <= max_tokens:  # of a book, only its beginning is read
            low, high = high, min(len(example.input), 2 * high)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(tokens(middle)[0]) <= max_tokens else (low, middle - 1)
        (row,) = tokens(low)
        # half a word can take more tokens than the whole word, so a slightly longer input may fit again
        while ends := range(low + 1, low + 1 + WORD.match(example.input[low : low + LONGEST_WORD]).end()):
            fits = [pair for pair in zip(ends, tokens(*ends), strict=True) if len(pair[1]) <= max_tokens]
            if not fits:
                break
            low, row = fits[-1]
        return row


def user_text(example: Example) -> str:
    """Instruction and input: what a user says in a chat."""
    return "\n".join(part for part in (example.instruction, example.input) if part)


def prompt(example: Example) -> str:
    """The text x that a model reads: instruction, input, and the word "Answer:"."""
    return "\n".join(part for part in (user_text(example), "Answer:") if part)
