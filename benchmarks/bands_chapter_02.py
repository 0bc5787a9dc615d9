"""Measure chapter 02's results with five seeds, and print its bands for expected.toml.

python benchmarks/bands_chapter_02.py

Run it after a change to the stories or to byte-pair encoding that was meant.
"""

from statistics import fmean

from llm_core import load_corpus
from llm_core.tokenizer import GPT2_PATTERN, count_words, merge_word, train_merges

SEEDS = (0, 10, 20, 30, 40)  # the notebook's own first
SIZES = (512, 1024, 2048)
HALF_WIDTH = 0.0099  # of the mean; a band may be 2 % wide


def measure(seed: int) -> dict[str, float]:
    """Do what the chapter does, with other stories."""
    stories = load_corpus("stories", num_stories=2_000, seed=seed)
    fresh = load_corpus("stories", num_stories=200, seed=seed + 1).text
    counts = count_words(stories.documents, GPT2_PATTERN)
    merges = list(train_merges(counts, max(SIZES) - 256))
    words = count_words([fresh], GPT2_PATTERN)
    results: dict[str, float] = {"different_words": len(counts)}
    for size in SIZES:
        new_ids = {pair: 256 + i for i, pair in enumerate(merges[: size - 256])}
        tokens = sum(n * len(merge_word(word, new_ids)) for word, n in words.items())
        results[f"characters_per_token_{size}"] = len(fresh) / tokens
    return results


def main() -> None:
    """Print the bands as expected.toml holds them."""
    runs = [measure(seed) for seed in SEEDS]
    for name in runs[0]:
        values = [run[name] for run in runs]
        digits = 0 if name == "different_words" else 3
        low, high = (fmean(values) * (1 + side * HALF_WIDTH) for side in (-1, 1))
        print(f"\n[chapter_02.{name}]")
        print(f"low = {low:.{digits}f}")
        print(f"high = {high:.{digits}f}")
        print(f"measured = [{', '.join(f'{value:.{digits}f}' for value in values)}]")


if __name__ == "__main__":
    main()
