"""Small models and small data that several tests share."""

import torch

from llm_core import (
    END_OF_TEXT,
    CharacterTokenizer,
    Corpus,
    GPTConfig,
    GPTModel,
    encode_corpus,
)

# One configuration for every choice the model knows, alone and together.
KINDS = {
    "gpt2": {},
    "llama": {
        "num_kv_heads": 2,
        "positions": "rotary",
        "norm": "rms",
        "feed_forward": "swiglu",
        "bias": False,
        "tie_embeddings": False,
    },
    "sinusoidal": {"positions": "sinusoidal"},
    "qk-norm": {"positions": "rotary", "qk_norm": True},
    "relu2": {"feed_forward": "relu2", "d_ff": 48},
    "attention-only": {"feed_forward": "none"},
    "multi-query": {"num_kv_heads": 1},
}


def small_config(**changes):
    shape = {
        "vocab_size": 61,
        "d_model": 32,
        "num_heads": 4,
        "num_layers": 2,
        "max_seq_len": 16,
    }
    return GPTConfig(**(shape | changes))


def lively_model(config, seed=0):
    """A model whose outputs depend on everything that could matter.

    At its initialization a GPT is almost deaf: scores near zero, biases zero, norms
    one. Here every parameter is large enough to be noticed where it is mistaken.
    """
    model = GPTModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)
    return model.eval()


def random_ids(config, rows, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(config.vocab_size, (rows, length), generator=generator)


def toy_streams(num_documents=40):
    """Documents that rhyme with their number, as training and validation streams."""
    documents = tuple(f"cat {i} sat on mat {i}.\n" for i in range(num_documents))
    training, validation = Corpus("toy", documents).split(0.2)
    tokenizer = CharacterTokenizer(special_tokens=[END_OF_TEXT])
    tokenizer.train(documents)
    return (
        encode_corpus(training, tokenizer),
        encode_corpus(validation, tokenizer),
        tokenizer,
    )
