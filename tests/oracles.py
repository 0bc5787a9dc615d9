"""Other people's models with the weights of ours, to compare what they compute."""

import os

import torch

# Nothing is looked up: the models are made here, and their weights come from ours.
os.environ["HF_HUB_OFFLINE"] = "1"


def as_transformers_gpt2(model):
    """Hugging Face's GPT-2 with a copy of our weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = model.config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_seq_len,
            n_embd=config.d_model,
            n_layer=config.num_layers,
            n_head=config.num_heads,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    ours = model.state_dict()
    state = {
        "transformer.wte.weight": ours["token_embedding.weight"],
        "transformer.wpe.weight": ours["positions"],
        "lm_head.weight": ours["head.weight"],
    }
    for kind in ("weight", "bias"):
        state[f"transformer.ln_f.{kind}"] = ours[f"final_norm.{kind}"]
        for layer in range(config.num_layers):
            our, their = f"blocks.{layer}", f"transformer.h.{layer}"
            attention = [
                f"{our}.attention.{part}" for part in ("query", "key", "value")
            ]
            state |= {
                f"{their}.attn.c_attn.{kind}": torch.cat(
                    [ours[f"{part}.{kind}"] for part in attention]
                ),
                f"{their}.attn.c_proj.{kind}": ours[f"{our}.attention.output.{kind}"],
                f"{their}.mlp.c_fc.{kind}": ours[f"{our}.feed_forward.up.{kind}"],
                f"{their}.mlp.c_proj.{kind}": ours[f"{our}.feed_forward.down.{kind}"],
                f"{their}.ln_1.{kind}": ours[f"{our}.attention_norm.{kind}"],
                f"{their}.ln_2.{kind}": ours[f"{our}.feed_forward_norm.{kind}"],
            }
    for name in state:  # their matrices are (inputs, outputs)
        if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            state[name] = state[name].T
    theirs.load_state_dict(state)
    return theirs.eval()


def as_transformers_llama(model):
    """Hugging Face's LLaMA with a copy of our weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = model.config
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            max_position_embeddings=config.max_seq_len,
            hidden_size=config.d_model,
            intermediate_size=config.feed_forward_dim,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.key_value_heads,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
        )
    )
    names = {
        "token_embedding.": "model.embed_tokens.",
        "final_norm.": "model.norm.",
        "head.": "lm_head.",
        "blocks.": "model.layers.",
        "attention.query.": "self_attn.q_proj.",
        "attention.key.": "self_attn.k_proj.",
        "attention.value.": "self_attn.v_proj.",
        "attention.output.": "self_attn.o_proj.",
        "feed_forward.": "mlp.",
        ".gate.": ".gate_proj.",
        ".up.": ".up_proj.",
        ".down.": ".down_proj.",
        "attention_norm.": "input_layernorm.",
        "feed_forward_norm.": "post_attention_layernorm.",
    }
    state = {}
    for name, tensor in model.state_dict().items():
        for our, their in names.items():
            name = name.replace(our, their)
        state[name] = tensor
    theirs.load_state_dict(state)
    return theirs.eval()
