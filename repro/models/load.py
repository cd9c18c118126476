"""Networks from transformers: built from a configuration, or loaded from a folder or the hub, never silently random.

A folder is in the plain transformers form: config.json, model.safetensors and the tokenizer's files. Only safetensors
are read, never a pickle, and code that comes with a network is never run. What the checkpoint lacks may be the head
alone, which is new for each task.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from repro.errors import UserError, did_you_mean
from repro.paths import how_to_get

ARCHITECTURES = {
    "sequence-classification": transformers.AutoModelForSequenceClassification,
    "masked-lm": transformers.AutoModelForMaskedLM,
    "causal-lm": transformers.AutoModelForCausalLM,
}
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "sentencepiece.bpe.model",
)
_OPTIONAL_SETTINGS = ("cls_dropout",)  # read by DeBERTa's classifier, though its configuration does not declare it


def load_network(
    folder: Path | str,
    *,
    architecture: str,
    weights: str = "pretrained",
    attention: str | None = None,
    **config: object,
) -> PreTrainedModel:
    """Builds a network in float32.

    Args:
        folder: a folder in the transformers form, or the name of a model on the hub.
        architecture: a key of ARCHITECTURES.
        weights: "pretrained", or "random" to build from the folder's configuration alone, with torch's generator.
        attention: transformers' implementation: None for "sdpa" where the network has it (DeBERTa-v2 has not), or
            "eager", which trains faster in bfloat16 on a CPU.
        config: settings that replace those of its config.json (num_labels, problem_type, hidden_dropout_prob, ...).
    Raises:
        UserError: something is missing, unreadable, of the wrong shape, or no setting of this network.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(f"there is no architecture {architecture!r}", did_you_mean(architecture, ARCHITECTURES))
    if weights not in ("pretrained", "random"):
        raise UserError(f"network.weights is {weights!r}", "say pretrained or random")
    name = str(folder)
    local = _is_folder(name)
    if local:
        _check_folder(Path(name), weights)
    with _quiet():
        settings = _configuration(name, local, config)
        if weights == "random":
            return ARCHITECTURES[architecture].from_config(settings, dtype=torch.float32, attn_implementation=attention)
        network, report = _pretrained(name, local, architecture, settings, attention)
    _check_report(network, report, name)
    return network


def head_modules(network: PreTrainedModel) -> list[str]:
    """Names the modules that a task puts on top of the pre-trained body: those outside it, and its pooler.

    A module whose parameters all belong to the body too (GPT-2's tied output layer) is not new and not named.

    Returns:
        BERT ["bert.pooler", "classifier"], RoBERTa ["classifier"], DeBERTa-v2 ["pooler", "classifier"],
        GPT-2 ["score"].
    """
    prefix = network.base_model_prefix
    body = getattr(network, prefix, None)
    if body is None:
        return []
    old = {id(parameter) for parameter in body.parameters()}
    names = [
        name
        for name, child in network.named_children()
        if name != prefix and any(id(parameter) not in old for parameter in child.parameters())
    ]
    return [f"{prefix}.pooler", *names] if getattr(body, "pooler", None) is not None else names


def make_folder(settings: Mapping, vocabulary: Sequence[str] | None, folder: Path) -> Path:
    """Writes the configuration and a word-level tokenizer of a network that is yet to be trained.

    Args:
        settings: the configuration: model_type, architectures, hidden_size, ...; the vocabulary's size is filled in.
        vocabulary: words, without special tokens; text is lower-cased and cut at spaces and, unless that would break
            one of these words, around punctuation. None where no text is read: no tokenizer then, and the settings' own
            size.
        folder: where config.json and the tokenizer's files go.
    Returns:
        The folder.
    """
    settings = dict(settings)
    model_type = settings.pop("model_type", None)
    if model_type not in transformers.CONFIG_MAPPING:
        raise UserError(
            f"network.settings.model_type is {model_type!r}", did_you_mean(str(model_type), ("bert", "roberta", "gpt2"))
        )
    if vocabulary is None:
        with _quiet():
            transformers.AutoConfig.for_model(model_type, **settings).save_pretrained(folder)
        return Path(folder)
    tokens = [*SPECIAL_TOKENS, *(word for word in dict.fromkeys(vocabulary) if word not in SPECIAL_TOKENS)]
    configuration = transformers.AutoConfig.for_model(
        model_type, **{"pad_token_id": tokens.index("[PAD]"), **settings, "vocab_size": len(tokens)}
    )
    configuration.architectures = list(settings.get("architectures") or []) or None
    length = getattr(configuration, "max_position_embeddings", None)
    if model_type == "roberta":
        length -= configuration.pad_token_id + 1  # its positions start behind the padding token's
    with _quiet():
        configuration.save_pretrained(folder)
        _word_level(tokens, length).save_pretrained(folder)
    return Path(folder)


def save_checkpoint(network: PreTrainedModel, folder: Path, tokenizer: Path | None = None) -> Path:
    """Writes a network in the transformers form (safetensors), in the precision that it has.

    Args:
        network: what is written.
        folder: where to; made when missing.
        tokenizer: a folder whose tokenizer's files are copied beside the weights.
    """
    with _quiet():
        network.save_pretrained(folder)
    for name in TOKENIZER_FILES if tokenizer is not None else ():
        source = Path(tokenizer) / name
        if source.is_file():
            (Path(folder) / name).write_bytes(source.read_bytes())
    return Path(folder)


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Reads a safetensors file.

    Raises:
        UserError: the file is missing or torn.
    """
    if not Path(file).is_file():
        raise UserError(f"{file} is missing", "a product is a folder that a finished run left")
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} cannot be read ({error})", "write or copy it again") from error


def _word_level(tokens: Sequence[str], length: int | None) -> PreTrainedTokenizerFast:
    numbers = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    punctuation = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    whole = all(len(punctuation.pre_tokenize_str(word)) == 1 for word in tokens[len(SPECIAL_TOKENS) :])
    tokenizer.pre_tokenizer = punctuation if whole else pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=length or 512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _is_folder(name: str) -> bool:
    """A path, or the name of a model on the hub (owner/name or name)?"""
    return Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1


def _check_folder(folder: Path, weights: str) -> None:
    mend = how_to_get(folder.name) or "a folder holds config.json, model.safetensors and the tokenizer's files"
    if not folder.is_dir():
        raise UserError(f"the network's folder {folder} is missing", mend)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}/config.json is missing", mend)
    if weights != "pretrained":
        return
    index = folder / "model.safetensors.index.json"
    if not (folder / "model.safetensors").is_file() and not index.is_file():
        raise UserError(f"{folder}/model.safetensors is missing", conversion(folder, "pytorch_model", "model") or mend)
    if index.is_file():
        _check_index(index)
    if (folder / "adapter_config.json").is_file():  # transformers would load it too, where peft is installed
        raise UserError(f"{folder} holds an adapter beside its network (adapter_config.json)", "move the adapter away")


def _check_index(index: Path) -> None:
    """Refuses weights in several files of which one lies elsewhere, or is no safetensors file."""
    try:
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise UserError(f"{index} cannot be read", "copy it again") from None
    for file in files:
        if not isinstance(file, str) or "/" in file or not file.endswith(".safetensors"):
            raise UserError(f"{index} names {file}", "weights are read from safetensors files of the same folder alone")


def conversion(folder: Path, pickled: str, converted: str) -> str:
    """Says how the pickled weights of a folder become safetensors; nothing where it has none.

    Args:
        folder: where they lie.
        pickled: the beginning of their names: pytorch_model, adapter_model.
        converted: the name that they get: model, adapter_model.
    """
    if not any(Path(folder).glob(f"{pickled}*.bin")):
        return ""
    return (
        f"pickled weights ({pickled}.bin) are never read, as they can run code; if you trust them, say in that folder: "
        'python -c "import glob, torch; from safetensors.torch import save_file; '
        "save_file({key: value.contiguous().clone() "
        f"for file in glob.glob('{pickled}*.bin') for key, value in torch.load(file, weights_only=True).items()}}, "
        f"'{converted}.safetensors', {{'format': 'pt'}})\""
    )


def _configuration(name: str, local: bool, changes: Mapping[str, object]) -> PretrainedConfig:
    try:
        configuration = transformers.AutoConfig.from_pretrained(
            name, local_files_only=local or not _on_hub(name), trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _unreadable(name, local, "config.json", error) from error
    for key, value in changes.items():
        if not hasattr(configuration, key) and key not in _OPTIONAL_SETTINGS:
            raise UserError(
                f"{key} is no setting of the network {name} ({configuration.model_type})",
                did_you_mean(key, configuration.to_dict()),
            )
        try:
            setattr(configuration, key, value)
        except Exception as error:  # whatever transformers' checks raise
            said = str(error).strip().splitlines()[-1].strip()
            raise UserError(f"{key}={value} is no value for the network {name}", said) from error
    return configuration


def _on_hub(name: str) -> bool:
    """Asks the hub once whether it has a model: transformers itself would try for half a minute.

    Returns:
        False where the hub cannot be reached, so that only its local cache is looked at.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().model_info(name, timeout=10)
    except HfHubHTTPError:
        return True  # it answered: transformers says what is wrong with the name
    except Exception:  # whatever the machine's network raises
        return False
    return True


def _pretrained(
    name: str, local: bool, architecture: str, settings: PretrainedConfig, attention: str | None
) -> tuple[PreTrainedModel, dict]:
    try:
        return ARCHITECTURES[architecture].from_pretrained(
            name,
            config=settings,
            dtype=torch.float32,
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            local_files_only=local or not _on_hub(name),
        )
    except (OSError, SafetensorError) as error:
        raise _unreadable(name, local, "model.safetensors", error) from error


def _unreadable(name: str, local: bool, file: str, error: Exception) -> UserError:
    reason = str(error).strip().split("\n")[0]
    if "custom code" in reason:
        return UserError(
            f"the network {name} is of a kind that transformers does not have, and brings code of its own",
            "such code is never run: use a network that transformers has",
        )
    if local:
        return UserError(f"{Path(name) / file} cannot be read ({reason})", "write or copy it again")
    known = how_to_get(Path(name).name) or f"hf download {name} downloads it"
    return UserError(
        f"the network {name} is no folder here, not in the hub's cache, and cannot be had from the hub ({reason})",
        "put its folder (config.json, model.safetensors, tokenizer) under weights_dir and say network=hf "
        f"network.path=FOLDER ({known}, where the hub can be reached)",
    )


def _check_report(network: PreTrainedModel, report: Mapping, name: str) -> None:
    """Refuses a network of which more than the head did not come from the checkpoint."""
    new = tuple(f"{module}." for module in head_modules(network))
    file = Path(name) / "model.safetensors"
    for tensor, stored, wanted in sorted(report["mismatched_keys"]):
        if not tensor.startswith(new):
            raise UserError(
                f"{file}: {tensor} has the shape {tuple(stored)}, the configuration wants {tuple(wanted)}",
                "weights and config.json must be of one network",
            )
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(new))
    if missing:
        raise UserError(
            f"{file} lacks {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""),
            f"only the head may be new; are these weights of a {type(network.base_model).__name__}?",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers' reports, bars and warnings off the screen: what matters is raised instead."""
    log = transformers.utils.logging
    level, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bar:
            log.enable_progress_bar()


def shape_error(file: Path, tensor: str, stored: torch.Tensor, wanted: nn.Parameter) -> UserError:
    """Says that a stored tensor does not fit where it belongs."""
    return UserError(
        f"{file}: {tensor} has the shape {tuple(stored.shape)}, this run wants {tuple(wanted.shape)}",
        "start from a product of the same network and settings",
    )
